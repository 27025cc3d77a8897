import Basics
import Synchronization

/// A reply's wait for the broker, which takes none to a full queue: after a while it holds up no other request.
final class ReplyWait: Sendable {
    private let place: Place
    private let overdue: DispatchLimit
    private let overduePlace = Mutex<Place?>(nil)
    private let timer = Mutex<Timers.Entry?>(nil)

    /// - Parameters:
    ///   - place: the request's, which is released after `patience`.
    ///   - overdue: bounds the number of replies that have waited for longer; beyond it requests keep their places.
    init(_ place: Place, overdue: DispatchLimit, patience: Duration) {
        self.place = place
        self.overdue = overdue
        timer.withLock { $0 = Timers.shared.schedule(after: patience) { [weak self] in self?.giveWay() } }
    }

    private func giveWay() {
        guard let waiting = Place(ifFree: overdue, bytes: 0) else { return }
        overduePlace.withLock { $0 = waiting }
        place.release()
        // It may have ended meanwhile.
        if timer.withLock({ $0 == nil }) { waiting.release() }
    }

    func end() {
        timer.withLock { timer in
            timer?.cancel()
            timer = nil
        }
        overduePlace.withLock { $0 }?.release()
    }
}
