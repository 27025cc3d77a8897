internal import CRabbitMQ

/// Owns librabbitmq's region allocator; what is allocated in it lives until the next ``recycle()``.
@safe
final class Pool {
    let pool: UnsafeMutablePointer<amqp_pool_t>

    init() {
        unsafe pool = .allocate(capacity: 1)
        unsafe init_amqp_pool(pool, 4096)
    }

    deinit {
        unsafe empty_amqp_pool(pool)
        unsafe pool.deallocate()
    }

    func recycle() { unsafe recycle_amqp_pool(pool) }

    func bytes(_ string: String) throws(AMQPError) -> amqp_bytes_t {
        var string = string
        let count = string.utf8.count
        guard count > 0 else { return unsafe amqp_empty_bytes }
        let memory = unsafe try allocate(UInt8.self, count)
        string.withUTF8 { unsafe memory.initialize(from: $0.baseAddress ?? UnsafePointer(memory), count: count) }
        return unsafe amqp_bytes_t(len: count, bytes: memory)
    }

    func bytes(_ array: [UInt8]) throws(AMQPError) -> amqp_bytes_t {
        guard !array.isEmpty else { return unsafe amqp_empty_bytes }
        let memory = unsafe try allocate(UInt8.self, array.count)
        unsafe array.withUnsafeBufferPointer {
            unsafe _ = UnsafeMutableBufferPointer(start: memory, count: array.count).update(from: $0)
        }
        return unsafe amqp_bytes_t(len: array.count, bytes: memory)
    }

    func table(_ values: [String: AMQPValue]) throws(AMQPError) -> amqp_table_t {
        guard !values.isEmpty else { return unsafe amqp_empty_table }
        let entries = unsafe try allocate(amqp_table_entry_t.self, values.count)
        for (index, (key, value)) in values.enumerated() {
            let entry = unsafe amqp_table_entry_t(key: try bytes(key), value: try field(value))
            unsafe (entries + index).initialize(to: entry)
        }
        return unsafe amqp_table_t(num_entries: Int32(values.count), entries: entries)
    }

    private func array(_ values: [AMQPValue]) throws(AMQPError) -> amqp_array_t {
        guard !values.isEmpty else { return unsafe amqp_empty_array }
        let entries = unsafe try allocate(amqp_field_value_t.self, values.count)
        for (index, value) in values.enumerated() {
            unsafe (entries + index).initialize(to: try field(value))
        }
        return unsafe amqp_array_t(num_entries: Int32(values.count), entries: entries)
    }

    private func field(_ value: AMQPValue) throws(AMQPError) -> amqp_field_value_t {
        var field = unsafe amqp_field_value_t()
        func kind(_ kind: amqp_field_value_kind_t) { unsafe field.kind = UInt8(kind.rawValue) }
        switch value {
        case .void: kind(AMQP_FIELD_KIND_VOID)
        case .bool(let flag):
            kind(AMQP_FIELD_KIND_BOOLEAN)
            unsafe field.value.boolean = flag ? 1 : 0
        case .int64(let number):
            if let small = Int32(exactly: number) {
                kind(AMQP_FIELD_KIND_I32)
                unsafe field.value.i32 = small
            } else {
                kind(AMQP_FIELD_KIND_I64)
                unsafe field.value.i64 = number
            }
        case .uint64(let number):
            kind(AMQP_FIELD_KIND_U64)
            unsafe field.value.u64 = number
        case .double(let number):
            kind(AMQP_FIELD_KIND_F64)
            unsafe field.value.f64 = number
        case .decimal(let scale, let number):
            kind(AMQP_FIELD_KIND_DECIMAL)
            unsafe field.value.decimal = amqp_decimal_t(decimals: scale, value: number)
        case .string(let text):
            kind(AMQP_FIELD_KIND_UTF8)
            unsafe field.value.bytes = try bytes(text)
        case .bytes(let data):
            kind(AMQP_FIELD_KIND_BYTES)
            unsafe field.value.bytes = try bytes(data)
        case .timestamp(let seconds):
            kind(AMQP_FIELD_KIND_TIMESTAMP)
            unsafe field.value.u64 = seconds
        case .array(let values):
            kind(AMQP_FIELD_KIND_ARRAY)
            unsafe field.value.array = try array(values)
        case .table(let values):
            kind(AMQP_FIELD_KIND_TABLE)
            unsafe field.value.table = try table(values)
        }
        return unsafe field
    }

    private func allocate<T>(_ type: T.Type, _ count: Int) throws(AMQPError) -> UnsafeMutablePointer<T> {
        guard let memory = unsafe amqp_pool_alloc(pool, count * MemoryLayout<T>.stride) else {
            throw AMQPError(code: .overflow, message: "out of memory")
        }
        return unsafe memory.bindMemory(to: type, capacity: count)
    }
}
