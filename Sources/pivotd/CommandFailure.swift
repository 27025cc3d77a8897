import Basics
import OsloMessaging

/// Exit codes that callers may rely on.
enum ExitStatus: Int32 {
    case success = 0
    /// The answer was a failure, or the command did not succeed.
    case failure = 1
    /// Wrong arguments or a wrong configuration.
    case usage = 2
    /// Nobody answered: no broker, no worker, or a time-out.
    case noAnswer = 3
    /// Ended by Ctrl-C, as shells report SIGINT.
    case interrupted = 130
    /// The reader of standard output has exited, as shells report SIGPIPE.
    case readerGone = 141
}

/// Why a command failed.
struct CommandFailure: Error {
    let status: ExitStatus
    /// Shown on standard error; may have several lines, or be empty.
    let message: String

    init(_ status: ExitStatus, _ message: String) {
        self.status = status
        self.message = message
    }

    /// Makes a failure of a call's error.
    ///
    /// - Parameter hint: What the operator can do if the outcome of the request is unknown.
    init(_ error: any Error, hint: String? = nil) {
        switch error {
        case let failure as CommandFailure: self = failure
        case let failure as RemoteFailure: self.init(.failure, failure.description.escapingControls)
        case let error as RPCClientError:
            self.init(.noAnswer, "no answer: \(error)" + (hint.map { "\n\($0)" } ?? ""))
        default: self.init(.failure, "\(error)")
        }
    }
}
