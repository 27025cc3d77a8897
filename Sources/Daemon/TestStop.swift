#if DEBUG
    import Foundation
    import Glibc
    import VolumeSwap

    /// Stops the process at a phase, so that the fault suite can kill it exactly there. Not compiled into release builds.
    enum TestStop {
        /// Honours `PIVOTD_TEST_STOP_AT=PHASE`: creates `STATE_DIR/stopped-at-PHASE`, then stops as if by SIGSTOP.
        static func hook(stateDirectory: String, _ journal: any SwapJournal) -> (@Sendable (SwapPhase) async -> Void)? {
            guard let wanted = ProcessInfo.processInfo.environment["PIVOTD_TEST_STOP_AT"] else { return nil }
            return { phase in
                guard phase.rawValue.replacing("_", with: "") == wanted.lowercased().replacing("_", with: "") else { return }
                // Returns once the phase is stored.
                try? await journal.probe()
                _ = FileManager.default.createFile(atPath: "\(stateDirectory)/stopped-at-\(wanted)", contents: nil)
                kill(getpid(), SIGSTOP)
            }
        }
    }
#endif
