/// The world wide identifier of a LUN or an NVMe namespace, in one spelling whichever path shows it.
///
/// Only identifiers that certainly belong to one volume are taken, since a false match refuses a swap. Others are nil:
/// - `t10.…`, which is often the model and a default serial number (`QEMU HARDDISK`, `QM00001`);
/// - NAA types other than 5 and 6: type 3 is assigned locally, and SPDK makes type 2 of its device's name;
/// - identifiers without a company, such as tgt's `naa.60000000000000000e00000000010001`: every server counts its targets from 1.
struct WWID: Sendable, Hashable {
    /// As in sysfs: `naa.6…`, `eui.…`, `uuid.…`, or `nvme.VENDOR-SERIAL-MODEL-NAMESPACE`.
    let name: String

    /// Reads sysfs's attribute `wwid`. A SCSI name string may be in upper case and padded with NULs.
    init?(sysfs text: some StringProtocol) {
        let name = text.prefix { $0 != "\0" && !$0.isWhitespace }.lowercased()
        guard let dot = name.firstIndex(of: "."), Self.isUnique(name[..<dot], name[name.index(after: dot)...]) else { return nil }
        self.name = name
    }

    /// Reads a multipath device's `dm/uuid`. After `mpath-`, SCSI's identifiers follow as scsi_id prints them, with the designator's
    /// type for a prefix (`3` is NAA, `2` EUI-64), and NVMe's as in sysfs.
    init?(multipath uuid: some StringProtocol) {
        guard uuid.hasPrefix("mpath-") else { return nil }
        let identifier = uuid.dropFirst(6)
        guard !identifier.contains(".") else {
            self.init(sysfs: identifier)
            return
        }
        switch identifier.first {
        case "2": self.init(sysfs: "eui.\(identifier.dropFirst())")
        case "3": self.init(sysfs: "naa.\(identifier.dropFirst())")
        default: return nil
        }
    }

    private static func isUnique(_ type: Substring, _ identifier: Substring) -> Bool {
        let length = identifier.utf8.count
        return switch (type, identifier.first) {
        case ("naa", "5"): length == 16 && isAssigned(identifier, companyAt: 1)
        case ("naa", "6"): length == 32 && isAssigned(identifier, companyAt: 1)
        case ("eui", _):
            [16, 24].contains(length) && isAssigned(identifier, companyAt: 0)
                || length == 32 && isAssigned(identifier, companyAt: 16)
        case ("uuid", _): length == 36 && isUUID(identifier.filter { $0 != "-" })
        case ("nvme", _): hasSerial(identifier)
        default: false
        }
    }

    /// Whether these are digits with a company's number (IEEE's OUI, six of them) and a number of the company's own after it.
    private static func isAssigned(_ digits: Substring, companyAt start: Int) -> Bool {
        let company = digits.dropFirst(start).prefix(6)
        return isHexadecimal(digits) && Set(company).count > 1 && digits.dropFirst(start + 6).contains { $0 != "0" }
    }

    private static func isUUID(_ digits: Substring) -> Bool {
        digits.utf8.count == 32 && isHexadecimal(digits) && Set(digits).count > 1
    }

    /// Whether the second of NVMe's four parts, the serial number's bytes as digits, is more than NULs, spaces and zeros.
    private static func hasSerial(_ identifier: Substring) -> Bool {
        let parts = identifier.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 4, parts.allSatisfy(isHexadecimal) else { return false }
        let digits = Array(parts[1].utf8)
        return stride(from: 0, to: digits.count - 1, by: 2).contains { index in
            !["00", "20", "30"].contains(String(decoding: digits[index...(index + 1)], as: UTF8.self))
        }
    }

    private static func isHexadecimal(_ text: Substring) -> Bool {
        text.utf8.allSatisfy { UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 || UInt8(ascii: "a")...UInt8(ascii: "f") ~= $0 }
    }
}
