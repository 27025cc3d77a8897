import NIOCore
import NIOHTTP1

/// One connection, which serves a single request.
///
/// One request per connection keeps the limits simple, at negligible cost for a probe every few seconds. After the response the
/// sending half is closed and further input is discarded: a visitor that is still sending would lose the response to a reset.
final class HealthVisit: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let pages: HealthPages
    private let patience: TimeAmount
    private var isAnswered = false
    private var end: Scheduled<Void>?

    init(pages: HealthPages, patience: TimeAmount) {
        self.pages = pages
        self.patience = patience
    }

    func handlerAdded(context: ChannelHandlerContext) { endLater(context) }

    func handlerRemoved(context: ChannelHandlerContext) { end?.cancel() }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard case .head(let head) = unwrapInboundIn(data), !isAnswered else { return }
        answer(context, pages.page(method: head.method.rawValue, uri: head.uri))
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        // The visitor has closed its sending half, but still reads a pending response.
        if case ChannelEvent.inputClosed = event {
            if isAnswered { context.close(promise: nil) } else { leave(context) }
        }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard !isAnswered, let error = error as? HTTPParserError else {
            return isAnswered && error is HTTPParserError ? () : leave(context)
        }
        answer(context, error == .headerOverflow ? .tooLarge : .malformed)
    }

    private func leave(_ context: ChannelHandlerContext) { context.close(promise: nil) }

    private func answer(_ context: ChannelHandlerContext, _ page: HealthPage) {
        isAnswered = true
        endLater(context)
        let body = ByteBuffer(string: page.body)
        var headers: HTTPHeaders = [
            "Content-Type": page.type, "Content-Length": "\(body.readableBytes)", "Cache-Control": "no-store",
            "Connection": "close",
        ]
        if let policy = page.policy {
            headers.add(name: "Content-Security-Policy", value: policy)
            headers.add(name: "X-Content-Type-Options", value: "nosniff")
            headers.add(name: "Referrer-Policy", value: "no-referrer")
        }
        if let allow = page.allow { headers.add(name: "Allow", value: allow) }
        let head = HTTPResponseHead(version: .http1_1, status: HTTPResponseStatus(statusCode: page.status), headers: headers)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        if !page.isHeadOnly { context.write(wrapOutboundOut(.body(.byteBuffer(body))), promise: nil) }
        let channel = context.channel
        context.writeAndFlush(wrapOutboundOut(.end(nil))).whenComplete { _ in channel.close(mode: .output, promise: nil) }
    }

    /// Bounds the visit, however slowly the visitor sends or reads.
    private func endLater(_ context: ChannelHandlerContext) {
        end?.cancel()
        let channel = context.channel
        end = context.eventLoop.scheduleTask(in: patience) { channel.close(promise: nil) }
    }
}
