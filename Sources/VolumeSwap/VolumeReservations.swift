package final class VolumeReservations: Sendable {
    package init() {}
    func keep(_ plan: SwapPlan, for task: TaskID) {}
    func release(_ task: TaskID) {}
}
