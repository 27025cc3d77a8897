import CJansson
import Glibc

extension JSONValue {
    /// Maximum nesting of arrays and objects.
    package static let maximumDepth = 200

    /// Parses one UTF-8 JSON document with a value of any type at the top.
    ///
    /// The last of duplicate keys wins. `\u0000` is accepted in values but not in keys.
    ///
    /// - Throws: ``JSONError`` unless it is one complete document, its numbers in range, nested to at most ``maximumDepth``.
    package init(parsing bytes: some Collection<UInt8>) throws(JSONError) {
        try self.init(parsing: bytes, maximumDepth: Self.maximumDepth)
    }

    /// Parses one JSON document; see ``init(parsing:)`` for bytes.
    ///
    /// - Throws: ``JSONError`` if it is not valid.
    package init(parsing text: String) throws(JSONError) {
        try self.init(parsing: text.utf8, maximumDepth: Self.maximumDepth)
    }

    init(
        parsing bytes: some Collection<UInt8>, maximumDepth: Int, rejectsDuplicates: Bool = false
    ) throws(JSONError) {
        let flags = JSON_DECODE_ANY | JSON_ALLOW_NUL | (rejectsDuplicates ? JSON_REJECT_DUPLICATES : 0)
        let direct = bytes.withContiguousStorageIfAvailable { unsafe Self.parse($0, maximumDepth, flags) }
        let result = unsafe direct ?? Array(bytes).withUnsafeBufferPointer { unsafe Self.parse($0, maximumDepth, flags) }
        self = try result.get()
    }

    private static func parse(
        _ bytes: UnsafeBufferPointer<UInt8>, _ maximumDepth: Int, _ flags: Int32
    ) -> Result<JSONValue, JSONError> {
        // jansson recurses up to 2048 levels, which may overflow a dispatch worker's stack, so the depth is checked first.
        if let position = unsafe firstByteBeyond(maximumDepth, in: bytes) {
            return .failure(unsafe .nestedTooDeeply(at: position, in: bytes, limit: maximumDepth))
        }
        guard let start = bytes.baseAddress, !bytes.isEmpty else {
            return .failure(JSONError(code: .invalidSyntax, message: "the document is empty", line: 1, column: 1, position: 0))
        }
        var error = json_error_t()
        let root = unsafe start.withMemoryRebound(to: CChar.self, capacity: bytes.count) {
            unsafe json_loadb($0, bytes.count, Int(flags), &error)
        }
        guard let root = unsafe root else { return .failure(JSONError(error)) }
        defer { unsafe json_decref(root) }
        return .success(unsafe Document.convert(root))
    }

    /// Whether there are more `[` and `{` than the limit: fewer cannot nest deeply.
    private static func hasMoreBrackets(than limit: Int, _ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
        guard let start = bytes.baseAddress else { return false }
        var left = limit
        for bracket in [UInt8(ascii: "{"), UInt8(ascii: "[")] {
            var index = 0
            while let found = unsafe memchr(start + index, Int32(bracket), bytes.count - index) {
                left -= 1
                if left < 0 { return true }
                index = unsafe UnsafeRawPointer(found) - UnsafeRawPointer(start) + 1
            }
        }
        return false
    }

    /// The offset of the first bracket that exceeds the limit.
    private static func firstByteBeyond(_ limit: Int, in bytes: UnsafeBufferPointer<UInt8>) -> Int? {
        guard unsafe hasMoreBrackets(than: limit, bytes) else { return nil }
        var depth = 0
        var insideString = false
        var index = 0
        while index < bytes.count {
            switch unsafe bytes[index] {
            case UInt8(ascii: "\\") where insideString: index += 1
            case UInt8(ascii: "\""): insideString.toggle()
            case UInt8(ascii: "{") where !insideString, UInt8(ascii: "[") where !insideString:
                depth += 1
                if depth > limit { return index }
            case UInt8(ascii: "}") where !insideString, UInt8(ascii: "]") where !insideString: depth -= 1
            default: break
            }
            index += 1
        }
        return nil
    }
}

/// Converts a jansson tree.
private enum Document {
    static func convert(_ node: UnsafeMutablePointer<json_t>) -> JSONValue {
        switch unsafe node.pointee.type {
        case JSON_OBJECT: return unsafe .object(members(of: node))
        case JSON_ARRAY:
            let count = unsafe json_array_size(node)
            var elements: [JSONValue] = []
            elements.reserveCapacity(count)
            for index in 0..<count {
                if let element = unsafe json_array_get(node, index) { elements.append(unsafe convert(element)) }
            }
            return .array(elements)
        case JSON_STRING: return unsafe .string(text(json_string_value(node), json_string_length(node)))
        case JSON_INTEGER: return unsafe .integer(Int64(json_integer_value(node)))
        case JSON_REAL: return unsafe .real(json_real_value(node))
        case JSON_TRUE: return .bool(true)
        case JSON_FALSE: return .bool(false)
        default: return .null
        }
    }

    private static func members(of node: UnsafeMutablePointer<json_t>) -> JSONObject {
        var members = JSONObject(minimumCapacity: unsafe json_object_size(node))
        var position = unsafe json_object_iter(node)
        while let current = unsafe position {
            let key = unsafe text(json_object_iter_key(current), json_object_iter_key_len(current))
            // Not the unchecked initialiser: keys that jansson distinguishes may be equal in Swift (canonical equivalence).
            if let value = unsafe json_object_iter_value(current) { members[key] = unsafe convert(value) }
            unsafe position = unsafe json_object_iter_next(node, current)
        }
        return members
    }

    private static func text(_ start: UnsafePointer<CChar>?, _ count: Int) -> String {
        guard let start = unsafe start else { return "" }
        return unsafe String(decoding: UnsafeRawBufferPointer(start: start, count: count), as: UTF8.self)
    }
}

extension JSONError {
    fileprivate init(_ error: json_error_t) {
        var error = error
        let reason = unsafe json_error_code(&error)
        let full = unsafe withUnsafeBytes(of: &error.text) { bytes in
            unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
        let code: Code =
            switch reason {
            case json_error_invalid_utf8: .invalidUnicode
            case json_error_numeric_overflow: .numberOutOfRange
            case json_error_stack_overflow: .nestedTooDeeply
            case json_error_out_of_memory: .tooLarge
            case json_error_duplicate_key: .duplicateKey
            default: full.contains("Unicode") ? .invalidUnicode : .invalidSyntax
            }
        // jansson appends " near 'TOKEN'", and the token may be a password.
        let message = full.firstRange(of: " near ").map { String(full[..<$0.lowerBound]) } ?? full
        self.init(
            code: code, message: message, line: Int(error.line), column: Int(error.column),
            position: Int(error.position))
    }

    fileprivate static func nestedTooDeeply(at position: Int, in bytes: UnsafeBufferPointer<UInt8>, limit: Int) -> JSONError {
        let before = unsafe bytes[..<position]
        let newline = UInt8(ascii: "\n")
        let lineStart = unsafe before.lastIndex(of: newline).map { $0 + 1 } ?? 0
        return JSONError(
            code: .nestedTooDeeply, message: "nested deeper than \(limit) levels",
            line: unsafe before.count { $0 == newline } + 1, column: position - lineStart + 1, position: position)
    }
}
