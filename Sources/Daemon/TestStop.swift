/// Called at each point where a test may stop the process, by the point's name: a phase, or `paused`.
typealias TestStopHook = @Sendable (String) async -> Void

#if DEBUG
    import Foundation
    import Glibc
    import VolumeSwap

    /// Stops the process at a point, so that the fault suite can kill it exactly there. Not compiled into release builds.
    enum TestStop {
        /// Honours `PIVOTD_TEST_STOP_AT=POINT`: creates `STATE_DIR/stopped-at-POINT`, then stops as if by SIGSTOP.
        static func hook(stateDirectory: String, _ journal: any SwapJournal) -> TestStopHook? {
            guard let wanted = ProcessInfo.processInfo.environment["PIVOTD_TEST_STOP_AT"] else { return nil }
            return { point in
                guard point.replacing("_", with: "") == wanted.lowercased().replacing("_", with: "") else { return }
                // Returns once the phase is stored.
                try? await journal.probe()
                _ = FileManager.default.createFile(atPath: "\(stateDirectory)/stopped-at-\(wanted)", contents: nil)
                kill(getpid(), SIGSTOP)
            }
        }
    }
#endif
