/// Requests of one kind: those that wait, and how many are worked on at once.
struct Lane: Sendable {
    let backlog = Backlog()
    let limit: DispatchLimit
}
