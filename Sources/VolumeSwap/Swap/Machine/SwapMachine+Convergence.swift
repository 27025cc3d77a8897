/// What follows a copy that does not converge.
extension SwapMachine {
    /// After the attempt to change the running copy.
    static func afterConverge(_ input: SwapInput, _ plan: SwapPlan) -> Step {
        switch input {
        case .done:
            let news = "the copy went over to write-blocking, since the guest wrote as fast as it copied"
            return goOn(plan, .changed, news)
        case .cannotConverge(let why):
            return goOn(plan, .impossible, "the guest writes as fast as the copy copies: \(why)")
        case .mustBeginAgain:
            var ending = plan
            ending.convergence = .ending
            return Step(.endingCopy(ending), .endCopy(ending))
        case .failed(let failure):
            return rollBack(plan, failure)
        default:
            // It has ended meanwhile, or nothing is known: the next inspection shows it.
            return Step(.copying(plan), .awaitMirror(plan))
        }
    }

    /// After the copy was ended: it begins again, for this one time.
    static func afterEndCopy(_ input: SwapInput, _ plan: SwapPlan) -> Step {
        switch input {
        case .done:
            let second = plan.begunAgain
            return Step(.starting(second), .start(second))
        case .foundOnNew:
            return grow(plan)
        case .failed(let failure), .foundOnOld(let failure):
            return rollBack(plan, failure)
        default:
            let failure = SwapFailure.rebaseFailed("disk \(plan.disk): the copy ended without an answer", .internal)
            return rollBack(plan, failure)
        }
    }

    private static func goOn(_ plan: SwapPlan, _ step: ConvergenceStep, _ news: String) -> Step {
        var plan = plan
        plan.convergence = step
        plan.warnings.append("convergence: \(news)")
        return Step(.copying(plan), .awaitMirror(plan))
    }
}

extension SwapPlan {
    /// The plan of a second copy, with synchronous writes, which only `virDomainBlockCopy` offers.
    fileprivate var begunAgain: SwapPlan {
        var plan = self
        plan.attempts += 1
        plan.warnings.append(
            "convergence: the copy was begun again with synchronous writes, since the guest wrote as fast as it copied")
        plan.becomeSynchronous()
        return plan
    }

    /// The plan of a new preflight after a restart: if the copy was begun again before, this is that copy, not a third one.
    func keepingConvergence(of earlier: SwapPlan?) -> SwapPlan {
        guard let earlier, earlier.convergence == .begunAgain else { return self }
        var plan = self
        plan.attempts = earlier.attempts
        plan.warnings += earlier.warnings.filter { $0.hasPrefix("convergence: ") }
        plan.becomeSynchronous()
        return plan
    }

    private mutating func becomeSynchronous() {
        self.convergence = .begunAgain
        self.strategy = .copy
        self.options.synchronousWrites = true
    }
}
