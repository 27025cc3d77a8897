import OsloMessaging

/// The exit codes that callers may rely on.
enum ExitStatus: Int32 {
    case success = 0
    /// The answer was a failure, or what was to be done did not succeed.
    case failure = 1
    /// Wrong arguments or a wrong configuration.
    case usage = 2
    /// Nobody answered: no broker, no worker, or not in time.
    case noAnswer = 3
    /// Ended by Ctrl-C, as shells report SIGINT.
    case interrupted = 130
    /// Whoever read standard output has ended, as shells report SIGPIPE.
    case readerGone = 141
}

/// Why a command ends without success.
struct CommandFailure: Error {
    let status: ExitStatus
    /// For the operator, on standard error; may have several lines, or none.
    let message: String

    init(_ status: ExitStatus, _ message: String) {
        self.status = status
        self.message = message
    }

    /// An error of a call.
    ///
    /// - Parameter hint: what the operator can do when it is not known how the request ended.
    init(_ error: any Error, hint: String? = nil) {
        switch error {
        case let failure as CommandFailure: self = failure
        case let failure as RemoteFailure: self.init(.failure, failure.description.escapingControls)
        case RPCClientError.unroutable(let target): self.init(.noAnswer, "no answer: no pivotd listens on \(target)")
        case let error as RPCClientError:
            self.init(.noAnswer, "no answer: \(error)" + (hint.map { "\n\($0)" } ?? ""))
        default: self.init(.failure, "\(error)")
        }
    }
}
