internal import Logging

/// Keeps the bytes of unsettled deliveries within their bound.
extension LiveConnection {
    /// Whether consumers may run: the window is not shut, and nothing of another width is on its way.
    var isWindowOpen: Bool { window?.width != .shut && ending.isEmpty }

    /// Whether one more delivery may be held. One that may not goes back to its queue at once, whose consumer has ended by then.
    func hasRoom() throws(AMQPError) -> Bool {
        guard let window else { return true }
        // One that came after one that was given back would overtake it.
        if window.width == .shut { return false }
        guard window.isFull(core.withState(\.ledger.held)) else { return true }
        try turnWindow(to: .shut)
        return false
    }

    func adjustWindow() throws(AMQPError) {
        if let window, ending.isEmpty, let width = window.better(core.withState(\.ledger.held)) { try turnWindow(to: width) }
        guard mayHaveToStart, isWindowOpen else { return }
        mayHaveToStart = false
        try startConsumers()
    }

    /// A consumer's prefetch is fixed at its start: all end, and start anew when what they were sent has come.
    private func turnWindow(to width: DeliveryWindow.Width) throws(AMQPError) {
        context.logger.debug("deliveries ahead: \(width)")
        window?.turn(to: width)
        mayHaveToStart = true
        for (tag, consumer) in consumers where consumer.unit.isGated {
            try session.requestCancel(tag: tag)
            ending.insert(tag)
            retire(tag)
        }
    }
}
