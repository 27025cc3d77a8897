/// Callbacks from a running swap to the service that runs it.
struct SwapHost: Sendable {
    /// Answers the caller with a failure before the roll-back is over.
    var answer: @Sendable (SwapFailure) async -> Void = { _ in }
    /// Frees this swap's slot for another instance while it waits for something that hangs.
    var giveUpSlot: @Sendable () -> Void = {}
    /// Gives its instance's turn, and its slot, to the next task of another disk while it is held.
    var giveUpTurn: @Sendable () -> Void = {}
}
