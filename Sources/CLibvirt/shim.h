#pragma once
#include <stddef.h>
#include <libvirt/libvirt.h>
#include <libvirt/libvirt-qemu.h>
#include <libvirt/virterror.h>

// VIR_DOMAIN_EVENT_CALLBACK is a function-like macro that casts each event's own callback type to the generic one.

static inline int pivotd_register_lifecycle(
    virConnectPtr conn, virConnectDomainEventCallback callback, void *opaque, virFreeCallback release)
{
    return virConnectDomainEventRegisterAny(
        conn, NULL, VIR_DOMAIN_EVENT_ID_LIFECYCLE, VIR_DOMAIN_EVENT_CALLBACK(callback), opaque, release);
}

static inline int pivotd_register_block_job(
    virConnectPtr conn, virConnectDomainEventBlockJobCallback callback, void *opaque, virFreeCallback release)
{
    return virConnectDomainEventRegisterAny(
        conn, NULL, VIR_DOMAIN_EVENT_ID_BLOCK_JOB_2, VIR_DOMAIN_EVENT_CALLBACK(callback), opaque, release);
}
