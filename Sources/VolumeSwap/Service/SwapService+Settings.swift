extension SwapService {
    /// Applies new settings; a running swap uses them from its next step on.
    package func change(_ settings: SwapSettings) {
        environment.change(settings)
        instanceQueue.setLimit(settings.maxConcurrentSwaps)
    }

    /// Whether the schedule has new swaps wait now. Running ones go on.
    package var isOffSchedule: Bool { instanceQueue.isOffSchedule }

    /// `pause_queue`, `resume_queue`: whether new swaps wait, until this is set to false or pivotd restarts. Running ones go on.
    package var isPaused: Bool {
        get { instanceQueue.isPaused }
        set { instanceQueue.isPaused = newValue }
    }
}
