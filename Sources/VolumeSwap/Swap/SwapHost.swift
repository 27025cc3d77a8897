/// What a run of a swap asks of the service that runs it.
struct SwapHost: Sendable {
    /// Tells the caller a failure whose roll-back is not over yet.
    var answer: @Sendable (SwapFailure) async -> Void = { _ in }
    /// Lets a swap of another instance run meanwhile: this one waits for something that hangs.
    var giveUpSlot: @Sendable () -> Void = {}
}
