import JSON

/// Which of QEMU's block nodes is on top of which, the answer to `x-debug-query-block-graph`. `query-block` does not show what is below
/// a filter.
struct BlockGraph {
    private var names: [Int64: String] = [:]
    /// The `file` child of each node.
    private var files: [Int64: Int64] = [:]

    init(_ answer: JSONValue) {
        for node in answer["nodes"]?.arrayValue ?? [] where node["type"]?.stringValue == "block-driver" {
            if let id = node["id"]?.integerValue { names[id] = node["name"]?.stringValue }
        }
        for edge in answer["edges"]?.arrayValue ?? [] where edge["name"]?.stringValue == "file" {
            if let parent = edge["parent"]?.integerValue { files[parent] = edge["child"]?.integerValue }
        }
    }

    /// A node and those below it, the topmost first.
    func chain(from name: String) -> [String] {
        var chain: [String] = []
        var id = names.first { $0.value == name }?.key
        while let node = id, let name = names[node], !chain.contains(name) {
            chain.append(name)
            id = files[node]
        }
        return chain
    }
}
