import ArgumentParser
import Settings

/// The flags of the commands that only speak to the bus. What else is in the configuration file is for the worker.
struct ClientOptions: ParsableArguments {
    @OptionGroup var file: ConfigurationFileOption
    @OptionGroup(title: "Message bus") var bus: KeyOptions<BusSection>

    /// - Throws: A usage error that shows every problem.
    func load() throws -> PivotdConfiguration {
        try ConfigurationOptions.load(file.given.merging(bus.given) { first, _ in first })
    }
}
