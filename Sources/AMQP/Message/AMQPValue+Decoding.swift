internal import CRabbitMQ

extension AMQPValue {
    /// Copies a C table; nil if it is nested deeper than ``maximumDepth``.
    static func decode(_ table: amqp_table_t, depth: Int = 0) -> [String: AMQPValue]? {
        guard depth <= maximumDepth else { return nil }
        var values: [String: AMQPValue] = [:]
        for index in unsafe 0..<Int(table.num_entries) {
            let entry = unsafe table.entries[index]
            guard let value = unsafe decode(entry.value, depth: depth + 1) else { return nil }
            unsafe values[String(entry.key)] = value
        }
        return values
    }

    /// Copies those fields of a C table that are neither tables nor arrays.
    static func decodeFlat(_ table: amqp_table_t) -> [String: AMQPValue] {
        var values: [String: AMQPValue] = [:]
        for index in unsafe 0..<Int(table.num_entries) {
            let entry = unsafe table.entries[index]
            guard let value = unsafe decode(entry.value, depth: maximumDepth + 1) else { continue }
            unsafe values[String(entry.key)] = value
        }
        return values
    }

    private static func decode(_ field: amqp_field_value_t, depth: Int) -> AMQPValue? {
        let value = unsafe field.value
        switch unsafe amqp_field_value_kind_t(rawValue: UInt32(field.kind)) {
        case AMQP_FIELD_KIND_BOOLEAN: return unsafe .bool(value.boolean != 0)
        case AMQP_FIELD_KIND_I8: return unsafe .int64(Int64(value.i8))
        case AMQP_FIELD_KIND_U8: return unsafe .int64(Int64(value.u8))
        case AMQP_FIELD_KIND_I16: return unsafe .int64(Int64(value.i16))
        case AMQP_FIELD_KIND_U16: return unsafe .int64(Int64(value.u16))
        case AMQP_FIELD_KIND_I32: return unsafe .int64(Int64(value.i32))
        case AMQP_FIELD_KIND_U32: return unsafe .int64(Int64(value.u32))
        case AMQP_FIELD_KIND_I64: return unsafe .int64(value.i64)
        case AMQP_FIELD_KIND_U64: return unsafe Int64(exactly: value.u64).map(AMQPValue.int64) ?? .uint64(value.u64)
        case AMQP_FIELD_KIND_F32: return unsafe .double(Double(value.f32))
        case AMQP_FIELD_KIND_F64: return unsafe .double(value.f64)
        case AMQP_FIELD_KIND_DECIMAL: return unsafe .decimal(scale: value.decimal.decimals, value: value.decimal.value)
        case AMQP_FIELD_KIND_UTF8:
            let bytes = unsafe [UInt8](value.bytes)
            return String(validating: bytes, as: UTF8.self).map(AMQPValue.string) ?? .bytes(bytes)
        case AMQP_FIELD_KIND_BYTES: return unsafe .bytes([UInt8](value.bytes))
        case AMQP_FIELD_KIND_TIMESTAMP: return unsafe .timestamp(value.u64)
        case AMQP_FIELD_KIND_ARRAY:
            guard depth <= maximumDepth else { return nil }
            var values: [AMQPValue] = []
            for index in unsafe 0..<Int(value.array.num_entries) {
                guard let element = unsafe decode(value.array.entries[index], depth: depth + 1) else { return nil }
                values.append(element)
            }
            return .array(values)
        case AMQP_FIELD_KIND_TABLE: return unsafe decode(value.table, depth: depth).map(AMQPValue.table)
        default: return .void
        }
    }
}

extension String {
    /// A copy; bytes that are not UTF-8 become U+FFFD.
    init(_ bytes: amqp_bytes_t) {
        unsafe self.init(decoding: UnsafeRawBufferPointer(start: bytes.bytes, count: bytes.len), as: UTF8.self)
    }
}

extension [UInt8] {
    init(_ bytes: amqp_bytes_t) {
        unsafe self.init(UnsafeRawBufferPointer(start: bytes.bytes, count: bytes.len))
    }
}
