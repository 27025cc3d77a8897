/// Suggests corrections of misspelt names.
package enum Suggestion {
    /// The closest candidate, if it is close enough for its length.
    package static func nearest(to name: String, in candidates: some Sequence<String>) -> String? {
        let nearest = candidates.map { (candidate: $0, distance: distance($0, name)) }
            .min { ($0.distance, $0.candidate) < ($1.distance, $1.candidate) }
        guard let nearest, nearest.distance <= max(2, name.count / 3) else { return nil }
        return nearest.candidate
    }

    /// The number of bytes to insert, delete, replace or swap with a neighbour (optimal string alignment).
    static func distance(_ left: String, _ right: String) -> Int {
        let left = Array(left.utf8)
        let right = Array(right.utf8)
        var previous: [Int] = []
        var current = Array(0...right.count)
        for i in 0..<left.count {
            let beforePrevious = previous
            previous = current
            current = [i + 1] + Array(repeating: 0, count: right.count)
            for j in 0..<right.count {
                let replaced = previous[j] + (left[i] == right[j] ? 0 : 1)
                current[j + 1] = min(replaced, previous[j + 1] + 1, current[j] + 1)
                if i > 0, j > 0, left[i] == right[j - 1], left[i - 1] == right[j] {
                    current[j + 1] = min(current[j + 1], beforePrevious[j - 1] + 1)
                }
            }
        }
        return current[right.count]
    }
}
