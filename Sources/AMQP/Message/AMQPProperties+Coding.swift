internal import CRabbitMQ

extension AMQPProperties {
    /// A copy of librabbitmq's decoded basic properties; nil if the headers are nested too deeply.
    init?(_ properties: amqp_basic_properties_t) {
        func isSet(_ flag: Int32) -> Bool { unsafe properties._flags & UInt32(flag) != 0 }
        func string(_ flag: Int32, _ bytes: amqp_bytes_t) -> String? { isSet(flag) ? unsafe String(bytes) : nil }
        var headers: [String: AMQPValue] = [:]
        if isSet(AMQP_BASIC_HEADERS_FLAG) {
            guard let decoded = unsafe AMQPValue.decode(properties.headers) else { return nil }
            headers = decoded
        }
        unsafe self.init(
            contentType: string(AMQP_BASIC_CONTENT_TYPE_FLAG, properties.content_type),
            contentEncoding: string(AMQP_BASIC_CONTENT_ENCODING_FLAG, properties.content_encoding),
            headers: headers,
            deliveryMode: isSet(AMQP_BASIC_DELIVERY_MODE_FLAG) ? properties.delivery_mode : nil,
            priority: isSet(AMQP_BASIC_PRIORITY_FLAG) ? properties.priority : nil,
            correlationID: string(AMQP_BASIC_CORRELATION_ID_FLAG, properties.correlation_id),
            replyTo: string(AMQP_BASIC_REPLY_TO_FLAG, properties.reply_to),
            expiration: string(AMQP_BASIC_EXPIRATION_FLAG, properties.expiration),
            messageID: string(AMQP_BASIC_MESSAGE_ID_FLAG, properties.message_id),
            timestamp: isSet(AMQP_BASIC_TIMESTAMP_FLAG) ? properties.timestamp : nil,
            type: string(AMQP_BASIC_TYPE_FLAG, properties.type),
            userID: string(AMQP_BASIC_USER_ID_FLAG, properties.user_id),
            appID: string(AMQP_BASIC_APP_ID_FLAG, properties.app_id))
    }

    /// The C representation, with its strings and tables allocated in `pool`.
    func encode(in pool: Pool) throws(AMQPError) -> amqp_basic_properties_t {
        var encoded = unsafe amqp_basic_properties_t()
        func set(_ flag: Int32, _ value: String?) throws(AMQPError) -> amqp_bytes_t {
            guard let value else { return unsafe amqp_empty_bytes }
            unsafe encoded._flags |= UInt32(flag)
            return unsafe try pool.bytes(value)
        }
        unsafe encoded.content_type = try set(AMQP_BASIC_CONTENT_TYPE_FLAG, contentType)
        unsafe encoded.content_encoding = try set(AMQP_BASIC_CONTENT_ENCODING_FLAG, contentEncoding)
        unsafe encoded.correlation_id = try set(AMQP_BASIC_CORRELATION_ID_FLAG, correlationID)
        unsafe encoded.reply_to = try set(AMQP_BASIC_REPLY_TO_FLAG, replyTo)
        unsafe encoded.expiration = try set(AMQP_BASIC_EXPIRATION_FLAG, expiration)
        unsafe encoded.message_id = try set(AMQP_BASIC_MESSAGE_ID_FLAG, messageID)
        unsafe encoded.type = try set(AMQP_BASIC_TYPE_FLAG, type)
        unsafe encoded.user_id = try set(AMQP_BASIC_USER_ID_FLAG, userID)
        unsafe encoded.app_id = try set(AMQP_BASIC_APP_ID_FLAG, appID)
        if !headers.isEmpty {
            unsafe encoded._flags |= UInt32(AMQP_BASIC_HEADERS_FLAG)
            unsafe encoded.headers = try pool.table(headers)
        }
        if let deliveryMode {
            unsafe encoded._flags |= UInt32(AMQP_BASIC_DELIVERY_MODE_FLAG)
            unsafe encoded.delivery_mode = deliveryMode
        }
        if let priority {
            unsafe encoded._flags |= UInt32(AMQP_BASIC_PRIORITY_FLAG)
            unsafe encoded.priority = priority
        }
        if let timestamp {
            unsafe encoded._flags |= UInt32(AMQP_BASIC_TIMESTAMP_FLAG)
            unsafe encoded.timestamp = timestamp
        }
        return unsafe encoded
    }
}
