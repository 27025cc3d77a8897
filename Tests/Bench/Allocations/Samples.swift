import Foundation
import VolumeSwap

/// A domain and a swap of its second disk.
enum Samples {
    static let domain = """
        <domain type='kvm'>
          <name>instance-0000002a</name>
          <uuid>3c9d8a4e-6d5d-4b35-9b0c-1f0c6f1a0099</uuid>
          <metadata><nova:instance xmlns:nova="http://openstack.org/xmlns/libvirt/nova/1.1"><nova:name>web</nova:name></nova:instance></metadata>
          <memory unit='KiB'>131072</memory>
          <vcpu placement='static'>2</vcpu>
          <os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os>
          <devices>
            <emulator>/usr/bin/qemu-system-x86_64</emulator>
            <disk type='file' device='disk'>
              <driver name='qemu' type='qcow2' cache='writeback'/><source file='/volumes/root'/><backingStore/>
              <target dev='vda' bus='virtio'/><boot order='1'/>
            </disk>
            <disk type='file' device='disk'>
              <driver name='qemu' type='raw' cache='none' io='native' discard='unmap'/><source file='/volumes/old'/><backingStore/>
              <target dev='vdb' bus='virtio'/><serial>old-volume</serial><alias name='ua-data'/>
              <address type='pci' domain='0x0000' bus='0x05' slot='0x00' function='0x0'/>
            </disk>
          </devices>
        </domain>
        """

    static var plan: SwapPlan {
        get throws {
            let options = String(decoding: try JSONEncoder().encode(SwapOptions()), as: UTF8.self)
            let json = """
                {"domain": {"uuid": "3c9d8a4e-6d5d-4b35-9b0c-1f0c6f1a0099", "name": "instance-0000002a"}, "disk": "vdb",
                 "strategy": "copy", "oldLocation": {"file": {"_0": "/volumes/old"}},
                 "destination": {"location": {"block": {"_0": "/dev/vg/new"}}, "format": "raw"},
                 "oldBytes": 1073741824, "newBytes": 1073741824, "usesSlice": false, "wasPersistent": true,
                 "isNewConnected": false, "options": \(options), "keptElements": [], "attempts": 1, "warnings": []}
                """
            return try JSONDecoder().decode(SwapPlan.self, from: Data(json.utf8))
        }
    }
}
