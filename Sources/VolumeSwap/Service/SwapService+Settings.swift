extension SwapService {
    /// Takes other settings; a swap under way goes by them from its next step on.
    package func change(_ settings: SwapSettings) {
        environment.change(settings)
        instanceQueue.setLimit(settings.maxConcurrentSwaps)
    }
}
