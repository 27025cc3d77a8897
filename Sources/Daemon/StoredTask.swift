import Journal
package import JSON
import OsloMessaging
import SwapBus
import VolumeSwap

/// A task in the journal of a worker that need not run.
package struct StoredTask: Sendable {
    package let id: String
    /// What `get_swap` with `history` would answer, without the live progress. Secrets are masked.
    package let status: JSONValue

    /// Finds the tasks whose ids begin with `prefix`, newest first.
    ///
    /// - Parameters:
    ///   - directory: the worker's `state_dir`.
    ///   - failureModule: the setting `failure_module`, which a failure names.
    /// - Throws: `JournalError` for a journal that is missing, not readable by this user, foreign or damaged.
    package static func find(
        idPrefix prefix: String, limit: Int, stateDirectory directory: String, failureModule: String
    ) async throws -> [StoredTask] {
        let failures = NovaFailure(module: failureModule)
        return try await JournalReader(directory: directory).tasks(idPrefix: prefix, limit: limit).map { task in
            StoredTask(
                id: task.record.id.text, status: SwapStatus(stored: task.record).json(failures, history: task.history))
        }
    }
}
