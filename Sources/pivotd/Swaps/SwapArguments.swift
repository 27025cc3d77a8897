import ArgumentParser
import JSON

/// The options of a swap, which become the arguments of `swap_volume`.
struct SwapArguments: ParsableArguments {
    @Option(help: ArgumentHelp("The virtual machine: its UUID, or libvirt's name for it.", valueName: "uuid"))
    var instance: String

    @Option(help: ArgumentHelp("The disk in it: vdb or /dev/vdb.", valueName: "target"))
    var disk: String

    @Option(
        help: ArgumentHelp(
            "The current volume's connection_info: JSON, @FILE, or @- for standard input. A file keeps passwords out of the "
                + "process list.", valueName: "json"))
    var old: String

    @Option(help: ArgumentHelp("The new volume's connection_info: JSON, @FILE, or @-.", valueName: "json"))
    var new: String

    @Option(help: ArgumentHelp("The current volume's id (default: from its connection_info).", valueName: "id"))
    var oldVolumeID: String?

    @Option(help: ArgumentHelp("The new volume's id (default: from its connection_info).", valueName: "id"))
    var newVolumeID: String?

    @Option(help: ArgumentHelp("The new size of the disk in GiB; 0 keeps it.", valueName: "gib"))
    var resizeTo: Int64 = 0

    @Option(
        help: ArgumentHelp(
            "The task's id, a UUID of your own: the same command with it again starts nothing, and prints the same outcome.",
            valueName: "uuid"))
    var requestToken: String?

    @Option(help: ArgumentHelp("Bandwidth of the copy in MiB/s; 0 for no limit.", valueName: "mib"))
    var bandwidth: Int64?

    @Option(help: ArgumentHelp("auto, rebase or copy.", valueName: "name"), completion: .list(["auto", "rebase", "copy"]))
    var strategy: String?

    @Flag(
        inversion: .prefixedNo,
        help: "Send the guest's writes to both volumes, so that the copy converges however busy the guest is.")
    var synchronousWrites: Bool?

    @Option(
        help: ArgumentHelp(
            "What to do about a copy that the guest outruns: off, auto or always.", valueName: "when"),
        completion: .list(["off", "auto", "always"]))
    var convergence: String?

    @Option(
        help: ArgumentHelp(
            "Mean time that the guest's requests may take meanwhile: milliseconds, a factor such as 2x, or 0.",
            valueName: "ms|factor"))
    var guestLatencyBudget: String?

    @Flag(help: "Copy, and then stay in step until `pivotd pivot`.")
    var hold = false

    @Option(help: ArgumentHelp("Seconds within which the remaining bytes must shrink; 0 for no limit.", valueName: "s"))
    var stallTimeout: Double?

    @Option(
        name: .customLong("option"),
        help: ArgumentHelp(
            "Any other option of the swap, such as timeout_s=3600; may be given several times.", valueName: "k=v"))
    var swapOptions: [String] = []

    func validate() throws {
        for (name, text) in [("--instance", instance), ("--disk", disk)] where text.isEmpty {
            throw ValidationError("\(name): must not be empty")
        }
        if resizeTo < 0 { throw ValidationError("--resize-to: must not be negative") }
        if old == "@-", new == "@-" { throw ValidationError("only one of --old and --new can be standard input") }
    }

    /// The arguments of `swap_volume`.
    ///
    /// - Throws: A usage error.
    func request() throws -> JSONObject {
        let old = try JSONArgument.object(old, option: "--old")
        let new = try JSONArgument.object(new, option: "--new")
        var request: JSONObject = [
            "instance": JSONArgument.instance(instance), "old_connection_info": .object(old), "new_connection_info": .object(new),
            "mountpoint": .string(disk),
        ]
        if resizeTo > 0 { request["resize_to"] = .integer(resizeTo) }
        request["old_volume_id"] = oldVolumeID.map { .string($0) } ?? Self.volumeID(old)
        request["new_volume_id"] = newVolumeID.map { .string($0) } ?? Self.volumeID(new)
        request["request_token"] = requestToken.map { .string($0) }
        let options = try options()
        if !options.isEmpty { request["options"] = .object(options) }
        return request
    }

    private func options() throws -> JSONObject {
        let flags: [(key: String, value: JSONValue?)] = [
            ("bandwidth_mib_s", bandwidth.map { .integer($0) }), ("strategy", strategy.map { .string($0) }),
            ("synchronous_writes", synchronousWrites.map { .bool($0) }), ("stall_timeout_s", stallTimeout.map { .real($0) }),
            ("guest_latency_budget", guestLatencyBudget.map { .string($0) }), ("convergence", convergence.map { .string($0) }),
            ("hold", hold ? true : nil),
        ]
        var options: JSONObject = [:]
        for flag in flags { options[flag.key] = flag.value }
        for option in swapOptions {
            let member = try JSONArgument.member(option, option: "--option")
            guard options[member.key] == nil else { throw ValidationError("--option: \(member.key) is given twice") }
            options[member.key] = member.value
        }
        return options
    }

    /// The volume's id in Cinder's connection_info.
    private static func volumeID(_ info: JSONObject) -> JSONValue? {
        [info["serial"], info["data"]?["volume_id"]].compactMap(\.self).first { $0.stringValue?.isEmpty == false }
    }
}
