import Glibc
import NIOCore
import NIOHTTP1
import NIOPosix

/// Fetches a page from a ``HealthServer``.
package enum HealthClient {
    /// A response of the server.
    package struct Page: Sendable, Hashable {
        /// The HTTP status code.
        package let status: Int
        /// The first 64 KiB of the body.
        package let body: String
    }

    private static let bodyLimit = 64 << 10

    /// `GET path`.
    ///
    /// - Parameter patience: Time limit for the connection, and again for the response.
    /// - Throws: ``HealthServer/Failure`` that says what happened instead of an HTTP response.
    package static func get(_ path: String, of address: ListenAddress, patience: Duration) async throws(HealthServer.Failure)
        -> Page
    {
        let loop = MultiThreadedEventLoopGroup.singleton.any()
        let answer = loop.makePromise(of: Page.self)
        do {
            let channel = try await ClientBootstrap(group: loop)
                .connectTimeout(TimeAmount(patience))
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        let pipeline = channel.pipeline.syncOperations
                        try pipeline.addHTTPClientHandlers()
                        try pipeline.addHandler(PageReader(answer: answer, limit: bodyLimit, patience: TimeAmount(patience)))
                    }
                }
                .connect(host: address.host, port: Int(address.port)).get()
            let headers: HTTPHeaders = ["Host": "\(address)", "Connection": "close"]
            let head = HTTPRequestHead(version: .http1_1, method: .GET, uri: path, headers: headers)
            channel.write(HTTPClientRequestPart.head(head), promise: nil)
            channel.writeAndFlush(HTTPClientRequestPart.end(nil), promise: nil)
        } catch {
            answer.fail(error)
        }
        do {
            return try await answer.futureResult.get()
        } catch {
            throw HealthServer.Failure(description: "http://\(address)\(path): \(reason(error))")
        }
    }

    private static func reason(_ error: any Error) -> String {
        switch error {
        case let error as NIOConnectionError: error.connectionErrors.first.map { reason($0.error) } ?? "no connection"
        case let error as IOError where error.errnoCode == ECONNREFUSED: "nobody listens"
        case let error as IOError: ListenAddress.reason(error.errnoCode)
        case ChannelError.connectTimeout, is PageReader.Silence: "no answer"
        default: "no HTTP answer"
        }
    }
}

/// Assembles one response.
private final class PageReader: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart

    struct Silence: Error {}
    struct NoAnswer: Error {}

    private let answer: EventLoopPromise<HealthClient.Page>
    private let limit: Int
    private let patience: TimeAmount
    private var status = 0
    private var body = ByteBuffer()
    private var end: Scheduled<Void>?

    init(answer: EventLoopPromise<HealthClient.Page>, limit: Int, patience: TimeAmount) {
        self.answer = answer
        self.limit = limit
        self.patience = patience
    }

    func channelActive(context: ChannelHandlerContext) {
        let channel = context.channel
        end = context.eventLoop.scheduleTask(in: patience) { [answer] in
            answer.fail(Silence())
            channel.close(promise: nil)
        }
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head): status = Int(head.status.code)
        case .body(var part):
            body.writeBuffer(&part)
            if body.readableBytes >= limit { finish(context) }
        case .end: finish(context)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        answer.fail(error)
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        end?.cancel()
        answer.fail(NoAnswer())
        context.fireChannelInactive()
    }

    private func finish(_ context: ChannelHandlerContext) {
        let text = body.readSlice(length: min(limit, body.readableBytes)) ?? ByteBuffer()
        answer.succeed(HealthClient.Page(status: status, body: String(buffer: text)))
        context.close(promise: nil)
    }
}
