/// One life of the pivotd process, from its start to its crash or end.
///
/// The process may die before or after each of its effects. From then on its calls throw and change nothing, so that its tasks
/// unwind.
final class SimLife: @unchecked Sendable {
    let number: Int
    private(set) var isAlive = true
    private var effects = 0
    private var callsAfterDeath = 0
    /// The effect at which it dies; nil if it does not.
    private let lastEffect: Int?
    private let onDeath: () -> Void

    init(number: Int, lastEffect: Int?, onDeath: @escaping () -> Void) {
        self.number = number
        self.lastEffect = lastEffect
        self.onDeath = onDeath
    }

    /// A point at which the process may die.
    ///
    /// - Returns: whether it lives on.
    func pass() -> Bool {
        guard isAlive else { return false }
        effects += 1
        if effects == lastEffect { end() }
        return isAlive
    }

    func end() {
        guard isAlive else { return }
        isAlive = false
        onDeath()
    }

    /// Suspends callers that keep asking after the death and would spin.
    func rest() async {
        callsAfterDeath += 1
        if callsAfterDeath > 5000 { await withUnsafeContinuation { (_: UnsafeContinuation<Void, Never>) in } }
    }
}
