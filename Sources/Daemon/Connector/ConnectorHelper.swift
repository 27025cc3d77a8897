import Basics
import JSON
package import Logging
import Subprocess
import SystemPackage
package import VolumeSwap

/// Attaches volumes through an executable, `connector_helper`.
///
/// The helper runs without a shell and without arguments. It reads `{"action": "connect"|"disconnect", "connection_info": {…}}`
/// from standard input and answers a `connect` with `{"path": "/dev/…"}` on standard output; `{"action": "properties"}` it answers
/// with the host's connector properties. On failure its exit code is not 0
/// and standard error gives the reason.
package struct ConnectorHelper: VolumeConnector {
    enum Action: String, Sendable {
        case connect
        case disconnect
        case properties
    }

    enum Ending: Sendable {
        case ended(success: Bool, status: String, output: String, errors: String)
        case late
    }

    private static let outputLimit = 1 << 20
    /// How long a killed helper may take to end before it is left alone.
    private static let killPatience = Duration.seconds(5)

    let executable: String
    let timeout: Duration
    private let logger: Logger
    private let asking = SharedRun<Result<ConnectorProperties, SwapFailure>>()

    /// - Parameters:
    ///   - executable: An absolute path.
    ///   - timeout: After this, the helper and all its child processes are killed.
    package init(executable: String, timeout: Duration, logger: Logger) {
        self.executable = executable
        self.timeout = timeout
        self.logger = logger
    }

    package var isConfigured: Bool { true }

    /// Runs the helper's `connect`; returns the path it printed.
    ///
    /// - Throws: ``SwapFailure`` `connectorFailed` if the helper fails, is late or prints no absolute path.
    package func connect(_ volume: ConnectionInfo) async throws(SwapFailure) -> String {
        let reply = try await run(.connect, volume)
        guard let path = (try? JSONValue(parsing: reply))?["path"]?.stringValue else {
            throw failure(.connect, volume, "its answer is not {\"path\": …}")
        }
        let isPlain = path.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7f }
        guard path.hasPrefix("/"), path.utf8.count <= 4096, isPlain else {
            throw failure(.connect, volume, "the path in its answer is not absolute")
        }
        return path
    }

    /// Runs the helper's `disconnect`.
    ///
    /// - Throws: ``SwapFailure`` `connectorFailed` if the helper fails or is late.
    package func disconnect(_ volume: ConnectionInfo) async throws(SwapFailure) {
        _ = try await run(.disconnect, volume)
    }

    /// Runs the helper's `properties`, once for all who ask meanwhile.
    ///
    /// - Throws: ``SwapFailure`` `connectorFailed` if the helper fails, is late or prints no object.
    package func properties() async throws(SwapFailure) -> ConnectorProperties {
        let interrupted = failure(.properties, nil, "it was interrupted")
        return try await asking.value(ifCancelled: .failure(interrupted)) { [self] in
            do throws(SwapFailure) { return .success(try await askProperties()) } catch { return .failure(error) }
        }.get()
    }

    private func askProperties() async throws(SwapFailure) -> ConnectorProperties {
        let reply = try await run(.properties, nil)
        guard let properties = (try? JSONValue(parsing: reply))?.objectValue else {
            throw failure(.properties, nil, "its answer is not an object")
        }
        return ConnectorProperties(json: properties)
    }

    /// - Returns: The helper's standard output.
    private func run(_ action: Action, _ volume: ConnectionInfo?) async throws(SwapFailure) -> String {
        var request: JSONObject = ["action": .string(action.rawValue)]
        if let volume { request["connection_info"] = .object(volume.json) }
        let ending: Ending
        do {
            ending = try await ask(.object(request))
        } catch is CancellationError {
            throw failure(action, volume, "it was interrupted")
        } catch {
            throw failure(action, volume, "\(error)")
        }
        switch ending {
        case .late: throw failure(action, volume, "it did not finish within \(timeout / .seconds(1)) s and was killed")
        case .ended(false, let status, _, let errors):
            throw failure(action, volume, errors.isEmpty ? "\(status), with nothing on standard error" : "\(status): \(errors)")
        case .ended(true, _, let output, let errors):
            if !errors.isEmpty {
                let text = ConnectorText.brief(errors, hiding: volume)
                logger.debug("connector helper, \(action.rawValue): \(text)", metadata: ["volume": "\(volume?.volumeID ?? "-")"])
            }
            return output
        }
    }

    /// Runs the helper within its time limit. Not in a task group, which would wait for one that the kernel keeps from being killed.
    ///
    /// - Throws: Whatever prevents starting or talking to it; `CancellationError`.
    func ask(_ request: JSONValue) async throws -> Ending {
        let (answer, end) = (Waiter<Result<Ending, any Error>>(), Waiter<Void>())
        let run = Task {
            do {
                answer.resume(.success(try await execute(request.serialized())))
            } catch {
                answer.resume(.failure(error))
            }
            end.resume()
        }
        let timer = Task {
            guard (try? await Task.sleep(for: timeout)) != nil else { return }
            answer.resume(.success(.late))
        }
        let ending = await answer.value(ifCancelled: .failure(CancellationError()))
        timer.cancel()
        run.cancel()
        let patience = Task {
            try? await Task.sleep(for: Self.killPatience)
            end.resume()
        }
        await end.value()
        patience.cancel()
        return try ending.get()
    }

    private func execute(_ request: String) async throws -> Ending {
        var platform = PlatformOptions()
        // A session of its own, so that the teardown can kill everything the helper started.
        platform.createSession = true
        platform.teardownSequence = [.send(signal: .kill, toProcessGroup: true, allowedDurationToNextStep: .zero)]
        let result = try await Subprocess.run(
            .path(FilePath(executable)), environment: environment, workingDirectory: "/", platformOptions: platform,
            input: .inputWriter, output: .string(limit: Self.outputLimit), error: .string(limit: Self.outputLimit)
        ) { execution in
            // A helper may exit without reading all its input; the writer must still be finished.
            _ = try? await execution.standardInputWriter.write(request)
            try? await execution.standardInputWriter.finish()
        }
        let status = result.terminationStatus
        return .ended(
            success: status.isSuccess, status: "\(status)", output: result.standardOutput, errors: result.standardError)
    }

    /// Takes nothing from pivotd's own environment, which may hold the broker's password.
    private var environment: Environment {
        .custom([
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/",
            "CONNECTOR_TIMEOUT_S": "\(timeout / .seconds(1))",
        ])
    }

    private func failure(_ action: Action, _ volume: ConnectionInfo?, _ reason: String) -> SwapFailure {
        guard let volume else {
            return .rebaseFailed("connector helper, \(action.rawValue): \(ConnectorText.brief(reason))", .connectorFailed)
        }
        let id = volume.volumeID.map { " \($0)" } ?? ""
        return .invalidVolume(
            "the connector helper could not \(action.rawValue) volume\(id) (\(volume.driverVolumeType)): "
                + ConnectorText.brief(reason, hiding: volume), .connectorFailed)
    }
}
