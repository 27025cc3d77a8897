import ArgumentParser
import JSON
import OrderedCollections

/// What a swap is asked for with, as `swap_volume` takes it.
struct SwapArguments: ParsableArguments {
    @Option(help: ArgumentHelp("The virtual machine: its UUID, or libvirt's name for it.", valueName: "uuid"))
    var instance: String

    @Option(help: ArgumentHelp("The disk in it: vdb or /dev/vdb.", valueName: "target"))
    var disk: String

    @Option(
        help: ArgumentHelp(
            "The present volume's connection_info: JSON, @FILE, or @- for standard input. A file keeps passwords out of the "
                + "process list.", valueName: "json"))
    var old: String

    @Option(help: ArgumentHelp("The new volume's connection_info: JSON, @FILE, or @-.", valueName: "json"))
    var new: String

    @Option(help: ArgumentHelp("The present volume's id.", valueName: "id"))
    var oldVolumeID: String?

    @Option(help: ArgumentHelp("The new volume's id.", valueName: "id"))
    var newVolumeID: String?

    @Option(help: ArgumentHelp("Grow the disk to so many GiB (default: 0, which keeps its size).", valueName: "gib"))
    var resizeTo: Int64 = 0

    @Option(
        name: .customLong("option"),
        help: ArgumentHelp(
            "An option of the swap, such as strategy=copy or bandwidth_mib_s=100; may be given several times.", valueName: "k=v"))
    var swapOptions: [String] = []

    func validate() throws {
        for (name, text) in [("--instance", instance), ("--disk", disk)] where text.isEmpty {
            throw ValidationError("\(name): must not be empty")
        }
        if resizeTo < 0 { throw ValidationError("--resize-to: must not be negative") }
        if old == "@-", new == "@-" { throw ValidationError("only one of --old and --new can be standard input") }
    }

    /// The arguments of `swap_volume`.
    func request() throws -> JSONObject {
        var request: JSONObject = [
            "instance": .string(instance), "old_connection_info": .object(try JSONArgument.object(old, option: "--old")),
            "new_connection_info": .object(try JSONArgument.object(new, option: "--new")), "mountpoint": .string(disk),
        ]
        if resizeTo > 0 { request["resize_to"] = .integer(resizeTo) }
        if let oldVolumeID { request["old_volume_id"] = .string(oldVolumeID) }
        if let newVolumeID { request["new_volume_id"] = .string(newVolumeID) }
        if !swapOptions.isEmpty {
            var members: JSONObject = [:]
            for option in swapOptions {
                let member = try JSONArgument.member(option, option: "--option")
                members[member.key] = member.value
            }
            request["options"] = .object(members)
        }
        return request
    }
}
