import Settings
import VolumeSwap

extension PivotdConfiguration {
    /// The part of the configuration that swaps depend on.
    var swapSettings: SwapSettings {
        var settings = SwapSettings(volumes: VolumeSettings(allowedPaths: PathPolicy(hypervisor.allowedPaths)))
        settings.volumes.mountPointBase = hypervisor.mountPointBase
        settings.volumes.prefersQEMUInitiator = hypervisor.preferQEMUInitiator
        settings.maxConcurrentSwaps = daemon.maxConcurrentSwaps
        settings.sampleInterval = min(.seconds(1), max(.milliseconds(100), daemon.progressInterval))
        settings.storeRetry = daemon.storeRetry
        settings.defaults.bandwidthMiBs = Int64(swap.bandwidthMiBPerSecond)
        settings.defaults.granularityKiB = Int64(swap.granularityKiB)
        settings.defaults.bufferMiB = Int64(swap.bufferMiB)
        settings.defaults.synchronousWrites = swap.synchronousWrites
        settings.defaults.detectZeroes = swap.detectZeroes
        settings.defaults.timeoutS = swap.timeout.map { $0 / .seconds(1) } ?? 0
        settings.defaults.stallTimeoutS = swap.stallTimeout.map { $0 / .seconds(1) } ?? 0
        return settings
    }
}
