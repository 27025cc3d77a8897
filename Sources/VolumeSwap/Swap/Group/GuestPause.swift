import Basics
import Logging

/// Pauses a guest and resumes it, whatever becomes of the calls.
struct GuestPause {
    let environment: SwapEnvironment
    let domain: DomainIdentity

    private var hypervisor: any Hypervisor { environment.hypervisor }
    private var logger: Logger { environment.logger(of: domain) }

    /// Pauses the guest.
    ///
    /// - Returns: nil if it is paused; else why not. It may still become so: ``end()`` all the same.
    func begin(within limit: Duration) async -> String? {
        await environment.clock.within(limit, else: "the guest was not paused within \(limit)") { [self] in
            do throws(HypervisorError) {
                try await hypervisor.suspend(domain)
                return nil
            } catch {
                return "the guest could not be paused: \(error)"
            }
        }
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
