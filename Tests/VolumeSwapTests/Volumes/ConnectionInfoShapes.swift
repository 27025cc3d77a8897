import JSON

@testable import VolumeSwap

/// Shapes that Cinder's drivers return, with the expected result of each.
enum ConnectionInfoShapes {
    static let texts: [String: String] = [
        "rbd": """
        {"driver_volume_type": "rbd", "serial": "v-1", "data": {"name": "volumes/volume-1",
        "hosts": ["10.0.0.11", "10.0.0.12", "fd00::13"], "ports": ["6789", "6789", "6789"], "cluster_name": "ceph",
        "auth_enabled": true, "auth_username": "cinder", "secret_type": "ceph",
        "secret_uuid": "457eb676-33da-42ec-9a8c-9293d545c337", "volume_id": "v-1", "discard": true, "qos_specs": null,
        "access_mode": "rw", "encrypted": false, "cacheable": false}}
        """,
        "iscsi": """
        {"driver_volume_type": "iscsi", "serial": "v-2", "data": {"target_discovered": false,
        "target_portal": "10.0.0.21:3260", "target_iqn": "iqn.2010-10.org.openstack:volume-2", "target_lun": 1,
        "volume_id": "v-2", "auth_method": "CHAP", "auth_username": "user", "auth_password": "not-a-real-password",
        "qos_specs": {"total_iops_sec": "500"}, "access_mode": "rw", "encrypted": false}}
        """,
        "iscsi_multipath": """
        {"driver_volume_type": "iscsi", "data": {"target_discovered": false,
        "target_portals": ["10.0.0.21:3260", "10.0.1.21:3260"], "target_iqns": ["iqn.2010-10.org.openstack:v2",
        "iqn.2010-10.org.openstack:v2"], "target_luns": [1, 1], "target_portal": "10.0.0.21:3260",
        "target_iqn": "iqn.2010-10.org.openstack:v2", "target_lun": 1, "volume_id": "v-2", "device_path": "/dev/dm-4",
        "multipath_id": "360000000000000000e00000000010001"}}
        """,
        "nfs": """
        {"driver_volume_type": "nfs", "serial": "v-3", "mount_point_base": "/var/lib/cinder/mnt",
        "data": {"export": "10.0.0.31:/srv/volumes", "name": "volume-3", "format": "raw", "options": null,
        "device_path": "/var/lib/nova/mnt/6f5902ac237024bdd0c176cb93063dc4/volume-3"}}
        """,
        "nfs_qcow2": """
        {"driver_volume_type": "nfs", "data": {"export": "10.0.0.31:/srv/volumes", "name": "volume-x", "format": "qcow2"}}
        """,
        "local_lvm": """
        {"driver_volume_type": "local", "serial": "v-4", "data": {"device_path": "/dev/cinder-volumes/volume-4",
        "access_mode": "rw", "encrypted": false, "qos_specs": null}}
        """,
        "fibre_channel": """
        {"driver_volume_type": "fibre_channel", "data": {"target_discovered": true,
        "target_wwn": ["50060e801049cfd1", "50060e801049cfd2"], "target_lun": 1,
        "initiator_target_map": {"10000090fa534cd0": ["50060e801049cfd1"]}, "volume_id": "v-5",
        "device_path": "/dev/disk/by-id/dm-uuid-mpath-360060e8010", "multipath_id": "360060e8010"}}
        """,
        "nvmeof": """
        {"driver_volume_type": "nvmeof", "data": {"vol_uuid": "v-6", "target_nqn": "nqn.2014-08.org.nvmexpress:uuid:3c9d8a4e",
        "host_nqn": "nqn.2014-08.org.nvmexpress:uuid:host1",
        "portals": [["10.0.0.41", 4420, "tcp"], ["10.0.0.42", 4420, "tcp"]], "ns_id": 1, "volume_nguid": null}}
        """,
        "nbd": """
        {"driver_volume_type": "nbd", "data": {"host": "10.0.0.51", "port": 10809, "name": "volume-7"}}
        """,
        "luks_on_rbd": """
        {"driver_volume_type": "rbd", "serial": "v-7", "data": {"name": "volumes/volume-7", "hosts": ["10.0.0.11"],
        "ports": ["6789"], "auth_enabled": true, "auth_username": "cinder", "secret_type": "ceph",
        "secret_uuid": "457eb676-33da-42ec-9a8c-9293d545c337", "volume_id": "v-7", "encrypted": true}}
        """,
        "multiattach": """
        {"driver_volume_type": "iscsi", "multiattach": true, "serial": "v-8", "data": {"target_portal": "10.0.0.21:3260",
        "target_iqn": "iqn.2010-10.org.openstack:v8", "target_lun": 0, "access_mode": "rw"}}
        """,
    ]

    static let names = texts.keys.sorted()

    static func connection(_ name: String) throws -> ConnectionInfo {
        try ConnectionInfo(json: try JSONValue(parsing: texts[name] ?? ""), argument: "new_connection_info")
    }

    static let targets: [String: VolumeTarget] = [
        "rbd": .network(
            NetworkLocation(
                transport: "rbd", name: "volumes/volume-1",
                hosts: ["10.0.0.11", "10.0.0.12", "fd00::13"].map { .init(name: $0, port: 6789) })),
        "iscsi": .network(
            NetworkLocation(
                transport: "iscsi", name: "iqn.2010-10.org.openstack:volume-2/1", hosts: [.init(name: "10.0.0.21", port: 3260)])),
        "iscsi_multipath": .path("/dev/dm-4"),
        "nfs": .path("/var/lib/nova/mnt/6f5902ac237024bdd0c176cb93063dc4/volume-3"),
        "nfs_qcow2": .path("/var/lib/nova/mnt/38e06e2cc26fef80395e7784073af6b0/volume-x"),
        "local_lvm": .path("/dev/cinder-volumes/volume-4"),
        "fibre_channel": .path("/dev/disk/by-id/dm-uuid-mpath-360060e8010"),
        "nvmeof": .connector,
        "nbd": .network(NetworkLocation(transport: "nbd", name: "volume-7", hosts: [.init(name: "10.0.0.51", port: 10809)])),
        "luks_on_rbd": .network(
            NetworkLocation(transport: "rbd", name: "volumes/volume-7", hosts: [.init(name: "10.0.0.11", port: 6789)])),
        "multiattach": .network(
            NetworkLocation(
                transport: "iscsi", name: "iqn.2010-10.org.openstack:v8/0", hosts: [.init(name: "10.0.0.21", port: 3260)])),
    ]
}
