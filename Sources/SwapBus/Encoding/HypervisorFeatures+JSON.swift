package import JSON
package import VolumeSwap

extension HypervisorFeatures {
    /// `{"transient_job": {"supported": …, "basis": …}, …}`
    package var json: JSONValue {
        let members = HypervisorFeature.allCases.map { ($0.rawValue, self[$0].json) }
        return .object(JSONObject(members))
    }
}

extension HypervisorFeatures.Answer {
    fileprivate var json: JSONValue {
        [
            "supported": isSupported.map { .bool($0) } ?? .null,
            "basis": basis.map { .string($0.rawValue) } ?? .null,
        ]
    }
}
