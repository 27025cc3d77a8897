/// A stored configuration with everything that an edit could lose.
enum StoredDomain {
    static let xml = """
        <domain type='kvm' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
          <name>instance-0000002a</name>
          <uuid>3c9d8a4e-6d5d-4b35-9b0c-1f0c6f1a0099</uuid>
          <title>A &lt;b&gt; &quot;title&quot;</title>
          <description>R&amp;D: 1 &lt; 2, naïve &#x1F5B4;</description>
          <metadata>
            <nova:instance xmlns:nova="http://openstack.org/xmlns/libvirt/nova/1.1">
              <nova:name>web &amp; db</nova:name>
              <nova:flavor name="m1.small"><nova:memory>2048</nova:memory></nova:flavor>
            </nova:instance>
            <other xmlns="urn:other"><inner a="1"/></other>
          </metadata>
          <!-- a comment -->
          <memory unit='KiB'>131072</memory>
          <vcpu placement='static'>2</vcpu>
          <os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type><nvram>/var/lib/libvirt/qemu/nvram/a.fd</nvram></os>
          <cpu mode='host-passthrough' check='none' migratable='on'><topology sockets='1' dies='1' cores='2' threads='1'/></cpu>
          <devices>
            <emulator>/usr/bin/qemu-system-x86_64</emulator>
            <disk type='file' device='disk'>
              <driver name='qemu' type='qcow2' cache='writeback'/>
              <source file='/volumes/root'/>
              <backingStore/>
              <target dev='vda' bus='virtio'/>
              <boot order='1'/>
            </disk>
            <disk type='file' device='disk'>
              <driver name='qemu' type='raw' cache='none' io='native' discard='unmap' queues='2' iothread='1'/>
              <source file='/volumes/old' startupPolicy='optional'/>
              <backingStore/>
              <target dev='vdb' bus='virtio'/>
              <iotune><total_iops_sec>500</total_iops_sec></iotune>
              <serial>old-volume</serial>
              <alias name='ua-data'/>
              <address type='pci' domain='0x0000' bus='0x05' slot='0x00' function='0x0'/>
            </disk>
            <tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>
          </devices>
          <qemu:commandline>
            <qemu:arg value='-fw_cfg'/>
            <qemu:env name='A' value='&quot;b&quot; &amp; c'/>
          </qemu:commandline>
        </domain>
        """
}
