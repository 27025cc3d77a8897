/// A set that forgets the older half of its members when it is full.
struct RecentTexts {
    let capacity: Int
    private var members: Set<String> = []
    private var order: [String] = []

    init(capacity: Int) { self.capacity = capacity }

    var count: Int { members.count }

    func contains(_ text: String) -> Bool { members.contains(text) }

    /// - Returns: whether it was not a member.
    @discardableResult
    mutating func insert(_ text: String) -> Bool {
        guard members.insert(text).inserted else { return false }
        order.append(text)
        if order.count > capacity {
            members.subtract(order.prefix(capacity / 2))
            order.removeFirst(capacity / 2)
        }
        return true
    }

    mutating func remove(_ text: String) { members.remove(text) }
}
