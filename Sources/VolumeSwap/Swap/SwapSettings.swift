/// The worker's settings as far as a swap depends on them.
package struct SwapSettings: Sendable {
    package var volumes: VolumeSettings
    package var defaults = SwapOptions()
    package var maxConcurrentSwaps = 8
    /// How long between two looks at a running copy: progress, time-outs, and the net under lost events.
    package var sampleInterval: Duration = .seconds(1)
    /// How often a pivot is tried that libvirt calls too early (error 83).
    package var pivotTries = 20
    /// For how long a stored configuration that cannot be written is tried again after the pivot: `store_retry_s`.
    package var storeRetry: Duration = .seconds(3600)
    /// How long a caller waits for a roll-back that does not end, before the answer is given without it.
    package var rollBackPatience: Duration = .seconds(15)

    package init(volumes: VolumeSettings) { self.volumes = volumes }
}
