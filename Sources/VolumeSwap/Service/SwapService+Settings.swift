extension SwapService {
    /// Applies new settings; a running swap uses them from its next step on.
    package func change(_ settings: SwapSettings) {
        environment.change(settings)
        instanceQueue.setLimit(settings.maxConcurrentSwaps)
    }
}
