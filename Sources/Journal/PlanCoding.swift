import JSON
import VolumeSwap

/// Encodes plans and reply addresses as JSON that their `Codable` conformances can read. `JSONEncoder` takes ten times as long.
enum PlanCoding {
    static func text(_ replyTo: ReplyTo) -> String {
        object([
            ("messageID", .string(replyTo.messageID)), ("queue", .string(replyTo.queue)),
            ("timeout", replyTo.timeout.map { .real($0) }),
        ]).serialized()
    }

    static func text(_ plan: SwapPlan) -> String {
        let domain: JSONValue = ["uuid": .string(plan.domain.uuid), "name": .string(plan.domain.name)]
        return object([
            ("domain", domain),
            ("disk", .string(plan.disk)),
            ("strategy", .string(plan.strategy.rawValue)),
            ("oldLocation", location(plan.oldLocation)),
            ("destination", source(plan.destination)),
            ("oldBytes", .integer(plan.oldBytes)),
            ("newBytes", plan.newBytes.map { .integer($0) }),
            ("headerBytes", plan.headerBytes.map { .integer($0) }),
            ("resizeToBytes", plan.resizeToBytes.map { .integer($0) }),
            ("usesSlice", .bool(plan.usesSlice)),
            ("wasPersistent", .bool(plan.wasPersistent)),
            ("savedXML", plan.savedXML.map { .string($0) }),
            ("isNewConnected", .bool(plan.isNewConnected)),
            ("madeSecret", plan.madeSecret.map { .string($0) }),
            ("options", options(plan.options)),
            ("keptElements", .array(plan.keptElements.map { .string($0) })),
            ("attempts", .integer(Int64(plan.attempts))),
            ("failure", plan.failure.map(failure)),
            ("mayHavePivoted", plan.mayHavePivoted.map { .bool($0) }),
            ("isMirroredBack", plan.isMirroredBack.map { .bool($0) }),
            ("resized", plan.resized.map { .bool($0) }),
            ("capacityBytes", plan.capacityBytes.map { .integer($0) }),
            ("isAutostarted", plan.isAutostarted.map { .bool($0) }),
            ("isDefinedAgain", plan.isDefinedAgain.map { .bool($0) }),
            ("liveDevices", plan.liveDevices.map { .array($0.map { .string($0) }) }),
            ("warnings", .array(plan.warnings.map { .string($0) })),
        ]).serialized()
    }

    private static func location(_ location: VolumeLocation) -> JSONValue {
        switch location {
        case .file(let path): ["file": ["_0": .string(path)]]
        case .block(let path): ["block": ["_0": .string(path)]]
        case .other(let text): ["other": ["_0": .string(text)]]
        case .network(let network): ["network": ["_0": self.network(network)]]
        }
    }

    private static func network(_ network: NetworkLocation) -> JSONValue {
        let hosts = network.hosts.map { host in
            object([("name", .string(host.name)), ("port", host.port.map { .integer(Int64($0)) })])
        }
        return ["transport": .string(network.transport), "name": .string(network.name), "hosts": .array(hosts)]
    }

    private static func source(_ source: VolumeSource) -> JSONValue {
        object([
            ("location", location(source.location)),
            ("format", .string(source.format)),
            ("auth", source.auth.map { ["username": .string($0.username), "secret": secret($0.secret)] }),
            ("encryption", source.encryption.map(secret)),
        ])
    }

    private static func secret(_ secret: SecretReference) -> JSONValue {
        object([
            ("type", .string(secret.type)), ("uuid", secret.uuid.map { .string($0) }),
            ("usage", secret.usage.map { .string($0) }),
        ])
    }

    private static func options(_ options: SwapOptions) -> JSONValue {
        object([
            ("strategy", options.strategy.map { .string($0.rawValue) }),
            ("bandwidthMiBs", .integer(options.bandwidthMiBs)),
            ("granularityKiB", .integer(options.granularityKiB)),
            ("bufferMiB", .integer(options.bufferMiB)),
            ("synchronousWrites", .bool(options.synchronousWrites)),
            ("timeoutS", .real(options.timeoutS)),
            ("stallTimeoutS", .real(options.stallTimeoutS)),
            ("detectZeroes", .bool(options.detectZeroes)),
        ])
    }

    private static func failure(_ failure: SwapFailure) -> JSONValue {
        object([
            ("kind", .string(failure.kind.rawValue)), ("reason", .string(failure.reason)),
            ("code", .string(failure.code.rawValue)),
            ("inUse", failure.inUse.map { .string($0.rawValue) }),
            ("leftBehind", .array(failure.leftBehind.map { .string($0) })), ("course", failure.course.map(course)),
        ])
    }

    private static func course(_ course: SwapCourse) -> JSONValue {
        [
            "instanceUUID": .string(course.instanceUUID), "strategy": .string(course.strategy.rawValue),
            "copiedBytes": .integer(course.copiedBytes), "totalBytes": .integer(course.totalBytes),
        ]
    }

    /// An object without the members that have no value.
    private static func object(_ members: [(String, JSONValue?)]) -> JSONValue {
        var object = JSONObject(minimumCapacity: members.count)
        for case (let key, let value?) in members { object[key] = value }
        return .object(object)
    }
}
