/// The worker's settings that affect swaps.
package struct SwapSettings: Sendable {
    /// How volumes are reached on this host.
    package var volumes: VolumeSettings
    /// The options that a request does not name.
    package var defaults = SwapOptions()
    /// Maximum number of swaps that run at once: `max_concurrent_swaps`.
    package var maxConcurrentSwaps = 8
    /// What all swaps of the host share.
    package var budget = BudgetSettings()
    /// Time between two inspections of a running copy, for progress, time-outs and lost events.
    package var sampleInterval: Duration = .seconds(1)
    /// How long a copy's remaining bytes may not fall before it is made to converge: `convergence_window_s`.
    package var convergenceWindow: Duration = .seconds(30)
    /// Time between two looks at the guest's latency: a queue of requests to a slow disk is to be noticed within a second.
    package var latencyInterval: Duration = .milliseconds(500)
    /// How long the guest's latency is measured before a copy whose budget is a factor of it.
    package var latencyWindow: Duration = .seconds(1)
    /// Maximum number of retries of a pivot that libvirt refuses as too early (error 83).
    package var pivotTries = 20
    /// How long to retry writing the stored configuration after the pivot: `store_retry_s`.
    package var storeRetry: Duration = .seconds(3600)
    /// How long a guest stays paused at most while several of its disks pivot as a group.
    package var groupPauseLimit: Duration = .seconds(10)
    /// How long an abort waits to be stored before it is answered as not stored: longer than a slow disk takes to sync.
    package var abortStoringLimit: Duration = .seconds(10)
    /// How long a caller waits for a roll-back before it is answered without it.
    package var rollBackPatience: Duration = .seconds(15)
    /// Maximum time for an answer that needs the hypervisor: longer than a call to a hung domain, shorter than oslo.messaging's
    /// `rpc_response_timeout`.
    package var answerLimit: Duration = .seconds(45)

    /// Default settings for these volumes.
    package init(volumes: VolumeSettings) { self.volumes = volumes }
}
