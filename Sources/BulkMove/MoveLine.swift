package import JSON
import VolumeSwap

/// One line of a plan: a swap, and the host that carries it out.
package struct MoveLine: Sendable, Hashable {
    /// The line's number in the plan, from 1.
    package let number: Int
    /// The worker's host, as in the queue `TOPIC.HOST`.
    package let host: String
    /// The instance, for people.
    package let instance: String
    /// The key by which the worker orders the instance's swaps.
    package let instanceKey: String
    /// The disk's target name, such as `vdb`.
    package let disk: String
    /// Cinder's id of the old volume: `old_volume_id`, else the one in its connection_info.
    package let oldVolumeID: String?
    /// Cinder's id of the new volume: `new_volume_id`, else the one in its connection_info.
    package let newVolumeID: String?
    /// What the line says of the old volume, to be compared with other lines.
    let oldVolume: VolumeIdentity
    /// What the line says of the new volume, to be compared with other lines.
    let newVolume: VolumeIdentity
    /// Whether other instances, perhaps on other hosts, may use the old volume.
    package let isOldVolumeShared: Bool
    /// The arguments of `swap_volume`, without a token.
    private let swap: JSONObject
    /// The line's own `request_token`, or the one derived from it.
    private let token: String

    /// - Throws: ``MovePlanError`` naming the argument, if a worker would refuse the line for its form.
    package init(_ json: JSONObject, number: Int) throws(MovePlanError) {
        var swap = json
        guard let host = swap.removeValue(forKey: "host")?.stringValue, Self.isHost(host) else {
            throw MovePlanError("host: missing, or not a host's name")
        }
        let request: SwapRequest
        let given: TaskID?
        do throws(SwapFailure) {
            request = try SwapRequest(args: swap, defaults: SwapOptions())
            given = try SwapRequest.token(swap)
        } catch {
            throw MovePlanError(error.reason)
        }
        swap.removeValue(forKey: "request_token")
        self.number = number
        self.host = host
        self.swap = swap
        instance = request.instance.description
        instanceKey = request.instance.key
        disk = request.disk
        oldVolumeID = Self.id(request.oldVolumeID, request.oldConnection)
        newVolumeID = Self.id(request.newVolumeID, request.newConnection)
        oldVolume = VolumeIdentity(request.oldConnection, id: oldVolumeID, host: host)
        newVolume = VolumeIdentity(request.newConnection, id: newVolumeID, host: host)
        isOldVolumeShared = request.oldConnection.isMultiattach
        token = given?.text ?? Self.derivedToken(host, swap)
    }

    /// The task's id at an attempt: each attempt is a task of its own.
    ///
    /// - Parameter attempt: from 1.
    package func taskID(attempt: Int) -> String {
        attempt == 1 ? token : DerivedUUID.text("\(token) attempt \(attempt)")
    }

    /// The arguments of `check_swap`.
    package var checkArguments: JSONObject { swap }

    /// The arguments of `swap_volume` at an attempt.
    package func arguments(attempt: Int) -> JSONObject {
        swap.merging(["request_token": .string(taskID(attempt: attempt))])
    }

    /// Whether a task with this line's token is this line's swap, as far as its status shows.
    package func isSwap(in status: JSONValue) -> Bool {
        let isSameID = ["old_volume_id", "new_volume_id"].allSatisfy { (status[$0] ?? .null) == (swap[$0] ?? .null) }
        return isSameID && status["disk"] == .string(disk)
    }

    /// Secrets do not count, as in the worker's own comparison of requests: a line whose credentials were renewed is the same swap.
    private static func derivedToken(_ host: String, _ swap: JSONObject) -> String {
        let plain = JSONValue.object(swap.merging(["host": .string(host)])).redacted()
        return DerivedUUID.text(plain.serialized(sortedKeys: true))
    }

    private static func id(_ given: String?, _ connection: ConnectionInfo) -> String? {
        [given, connection.volumeID].compactMap(\.self).first { !$0.isEmpty }
    }

    private static func isHost(_ text: String) -> Bool {
        (1...128).contains(text.utf8.count) && text.unicodeScalars.allSatisfy { $0.value > 0x20 && $0.value != 0x7f }
    }
}
