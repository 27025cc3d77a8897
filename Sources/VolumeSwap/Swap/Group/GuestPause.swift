import Basics
import Logging

/// Pauses a guest and resumes it, whatever becomes of the calls.
struct GuestPause {
    let environment: SwapEnvironment
    let domain: DomainIdentity

    private var hypervisor: any Hypervisor { environment.hypervisor }
    private var logger: Logger {
        var logger = environment.logger
        logger[metadataKey: "instance"] = "\(domain.uuid)"
        return logger
    }

    /// Pauses the guest.
    ///
    /// - Returns: nil if it is paused; else why not. It may still become so: ``end()`` all the same.
    func begin(within limit: Duration) async -> String? {
        await first(of: [
            { @Sendable [self] () async -> String? in
                do throws(HypervisorError) {
                    try await hypervisor.suspend(domain)
                    return nil
                } catch {
                    return "the guest could not be paused: \(error)"
                }
            },
            { @Sendable [self] () async -> String? in
                try? await environment.clock.sleep(for: limit)
                return "the guest was not paused within \(limit)"
            },
        ]) ?? nil
    }

    /// Resumes the guest; tries until it runs or is gone, or once if the task is cancelled: then the next start resumes it.
    ///
    /// - Returns: false if it may still be paused.
    func end() async -> Bool {
        var backoff = Backoff(first: .milliseconds(100))
        while true {
            do throws(HypervisorError) {
                try await hypervisor.resume(domain)
                return true
            } catch {
                if error.code == .noDomain { return true }
                logger.error("the guest, paused for its pivot, could not be resumed yet: \(error)")
            }
            guard (try? await environment.clock.sleep(for: backoff.pause())) != nil else { return false }
        }
    }
}
