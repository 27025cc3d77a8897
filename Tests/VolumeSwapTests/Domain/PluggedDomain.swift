import Testing

/// A domain with one of each device that can be plugged into it while it runs, as libvirt shows it.
enum PluggedDomain {
    /// One device, as the running and as the stored configuration have it.
    struct Device: Sendable, CustomTestStringConvertible {
        let name: String
        let live: String
        let stored: String
        var testDescription: String { name }

        /// - Parameter running: what only the running configuration has, and the same without it.
        init(_ name: String, _ live: String, without running: [(String, String)]) {
            self.name = name
            self.live = live
            stored = running.reduce(live) { $0.replacing($1.0, with: $1.1) }
        }
    }

    private static func pci(_ bus: Int) -> String {
        "<address type='pci' domain='0x0000' bus='0x0\(bus)' slot='0x00' function='0x0'/>"
    }

    static let controller = Device(
        "controller scsi 1",
        "<controller type='scsi' index='1' model='virtio-scsi'><alias name='scsi1'/>\(pci(7))</controller>",
        without: [("<alias name='scsi1'/>", "")])

    static let disk = Device(
        "disk sdb",
        """
        <disk type='block' device='disk'><driver name='qemu' type='raw' cache='none' io='native'/>\
        <source dev='/dev/vg/more' index='3'/><backingStore/><target dev='sdb' bus='scsi'/><serial>more</serial>\
        <alias name='scsi1-0-0-0'/><address type='drive' controller='1' bus='0' target='0' unit='0'/></disk>
        """,
        without: [(" index='3'", ""), ("<backingStore/>", ""), ("<alias name='scsi1-0-0-0'/>", "")])

    static let aliased = Device(
        "disk vdc",
        """
        <disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/volumes/c' index='4'/>\
        <target dev='vdc' bus='virtio'/><alias name='ua-scratch'/>\(pci(8))</disk>
        """,
        without: [(" index='4'", "")])

    static let interface = Device(
        "interface 52:54:00:aa:bb:cc",
        """
        <interface type='bridge'><mac address='52:54:00:AA:bb:cc'/><source bridge='br-int'/><target dev='tap1'/>\
        <model type='virtio'/><alias name='net1'/>\(pci(9))</interface>
        """,
        without: [("<alias name='net1'/>", "")])

    static let pciDevice = Device(
        "hostdev subsystem pci bus=0x3b domain=0x0000 function=0x2 slot=0x10",
        """
        <hostdev mode='subsystem' type='pci' managed='yes'><driver name='vfio'/>\
        <source><address domain='0x0000' bus='0x3b' slot='0x10' function='0x2'/></source><alias name='hostdev0'/>\(pci(4))</hostdev>
        """,
        without: [("<alias name='hostdev0'/>", "")])

    static let stick = Device(
        "hostdev subsystem usb id=0x0951 id=0x1666 at bus=0 port=2 type=usb",
        """
        <hostdev mode='subsystem' type='usb' managed='no'><source><vendor id='0x0951'/><product id='0x1666'/>\
        <address bus='1' device='14'/></source><alias name='hostdev1'/><address type='usb' bus='0' port='2'/></hostdev>
        """,
        without: [("<address bus='1' device='14'/>", ""), ("<alias name='hostdev1'/>", "")])

    static let module = Device(
        "memory dimm unit=KiB 1048576 0 at slot=1 type=dimm",
        """
        <memory model='dimm'><target><size unit='KiB'>1048576</size><node>0</node></target><alias name='dimm1'/>\
        <address type='dimm' slot='1' base='0x140000000'/></memory>
        """,
        without: [(" base='0x140000000'", ""), ("<alias name='dimm1'/>", "")])

    static let random = Device(
        "rng virtio model=random /dev/urandom at bus=0x05 domain=0x0000 function=0x0 slot=0x00 type=pci",
        "<rng model='virtio'><backend model='random'>/dev/urandom</backend><alias name='rng1'/>\(pci(5))</rng>",
        without: [("<alias name='rng1'/>", "")])

    static let redirection = Device(
        "redirdev usb spicevmc at bus=0 port=3 type=usb",
        "<redirdev bus='usb' type='spicevmc'><alias name='redir0'/><address type='usb' bus='0' port='3'/></redirdev>",
        without: [("<alias name='redir0'/>", "")])

    static let watchdog = Device(
        "watchdog i6300esb reset at bus=0x10 domain=0x0000 function=0x0 slot=0x01 type=pci",
        """
        <watchdog model='i6300esb' action='reset'><alias name='watchdog1'/>\
        <address type='pci' domain='0x0000' bus='0x10' slot='0x01' function='0x0'/></watchdog>
        """,
        without: [("<alias name='watchdog1'/>", "")])

    static let channel = Device(
        "channel name=org.example.0 type=virtio",
        """
        <channel type='unix'><source mode='bind' path='/run/example.sock'/>\
        <target type='virtio' name='org.example.0' state='disconnected'/><alias name='channel1'/>\
        <address type='virtio-serial' controller='0' bus='0' port='2'/></channel>
        """,
        without: [(" state='disconnected'", ""), ("<alias name='channel1'/>", "")])

    static let share = Device(
        "filesystem data",
        """
        <filesystem type='mount' accessmode='passthrough'><driver type='virtiofs'/><source dir='/srv/data'/>\
        <target dir='data'/><alias name='fs0'/>\(pci(6))</filesystem>
        """,
        without: [("<alias name='fs0'/>", "")])

    static let socket = Device(
        "vsock auto",
        "<vsock model='virtio'><cid auto='yes' address='3'/><alias name='vsock0'/></vsock>",
        without: [(" address='3'", ""), ("<alias name='vsock0'/>", "")])

    static let input = Device(
        "input tablet usb at bus=0 port=4 type=usb",
        "<input type='tablet' bus='usb'><alias name='input3'/><address type='usb' bus='0' port='4'/></input>",
        without: [("<alias name='input3'/>", "")])

    static let sharedMemory = Device(
        "shmem pool",
        "<shmem name='pool'><model type='ivshmem-plain'/><size unit='M'>4</size><alias name='shmem0'/></shmem>",
        without: [("<alias name='shmem0'/>", "")])

    static let lease = Device(
        "lease area key",
        "<lease><lockspace>area</lockspace><key>key</key><target path='/leases/area' offset='1024'/></lease>", without: [])

    static let devices = [
        controller, disk, aliased, interface, pciDevice, stick, module, random, redirection, watchdog, channel, share, socket,
        input, sharedMemory, lease,
    ]

    /// Devices that are always there, with all that varies while a guest runs.
    private static func base(isLive: Bool, run: Int) -> String {
        let running = { (text: String) in isLive ? text : "" }
        return """
            <emulator>/usr/bin/qemu-system-x86_64</emulator>
            <disk type='file' device='disk'><driver name='qemu' type='raw'/>\
            <source file='/volumes/\(isLive && run > 0 ? "new" : "old")'\(running(" index='\(run)'"))/>\(running("<backingStore/>"))\
            \(running(run > 0 ? "<mirror type='file' job='copy'><source file='/volumes/new'/></mirror>" : ""))\
            <target dev='vdb' bus='virtio'/>\(running("<alias name='virtio-disk1'/>"))\(pci(3))</disk>
            <controller type='scsi' index='0' model='virtio-scsi'>\(running("<alias name='scsi0'/>"))\(pci(2))</controller>
            <controller type='usb' index='0' model='ich9-ehci1'>\(running("<alias name='usb'/>"))</controller>
            <controller type='usb' index='0' model='ich9-uhci1'>\(running("<alias name='usb'/>"))<master startport='0'/></controller>
            <serial type='pty'>\(running("<source path='/dev/pts/\(run)'/>"))<target type='isa-serial' port='0'/></serial>
            <console type='pty'\(running(" tty='/dev/pts/\(run)'"))><target type='serial' port='0'/></console>
            <channel type='unix'>\(running("<source mode='bind' path='/run/\(run).agent'/>"))\
            <target type='virtio' name='org.qemu.guest_agent.0'\(running(" state='\(run > 0 ? "" : "dis")connected'"))/>\
            <address type='virtio-serial' controller='0' bus='0' port='1'/></channel>
            <rng model='virtio'><backend model='random'>/dev/random</backend>\(running("<alias name='rng0'/>"))\(pci(1))</rng>
            <memory model='dimm'><target><size unit='KiB'>1048576</size><node>0</node></target>\
            <address type='dimm' slot='0'\(running(" base='0x10000\(run)000'"))/></memory>
            <memory model='virtio-mem'><target><size unit='KiB'>1048576</size><requested unit='KiB'>524288</requested>\
            \(running("<current unit='KiB'>\(run * 2048)</current>"))</target></memory>
            <graphics type='vnc' port='\(isLive ? 5900 + run : -1)' autoport='yes'/>
            <memballoon model='virtio'><stats period='10'/></memballoon>
            """
    }

    private static let head = """
        <domain type='kvm'><name>instance-0000002a</name><uuid>3c9d8a4e-6d5d-4b35-9b0c-1f0c6f1a0099</uuid>
          <maxMemory slots='16' unit='KiB'>16777216</maxMemory>
          <memory unit='KiB'>4194304</memory>
          <currentMemory unit='KiB'>4194304</currentMemory>
          <vcpu placement='static' current='2'>4</vcpu>
        """

    /// - Parameter run: how far what varies in a run has varied.
    static func live(_ devices: [Device] = [], run: Int = 0) -> String {
        "\(head)<devices>\(base(isLive: true, run: run))\(devices.map(\.live).joined())</devices></domain>"
    }

    static func stored(_ devices: [Device] = []) -> String {
        "\(head)<devices>\(base(isLive: false, run: 0))\(devices.map(\.stored).joined())</devices></domain>"
    }
}
