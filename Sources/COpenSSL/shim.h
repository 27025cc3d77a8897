#pragma once
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

/* Notes why a certificate is refused where the owner of the context finds it. */
static int copenssl_note_refusal(int is_valid, X509_STORE_CTX *store) {
  SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
  int *error = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
  if (!is_valid && error) *error = X509_STORE_CTX_get_error(store);
  return is_valid;
}

/* Verifies the peer within the handshake: its chain and, where a name or an address is given, that its certificate is for it.
   `context` is an SSL_CTX, `error` an int that outlives it: an X509_V_ERR_... once the peer was refused. Returns 0 on failure. */
static inline int copenssl_verify_peer(void *context, const char *name, const char *address, int *error) {
  SSL_CTX *ctx = context;
  X509_VERIFY_PARAM *param = SSL_CTX_get0_param(ctx);
  if (name) {
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (!X509_VERIFY_PARAM_set1_host(param, name, 0)) return 0;
  }
  if (address && !X509_VERIFY_PARAM_set1_ip_asc(param, address)) return 0;
  SSL_CTX_set_app_data(ctx, error);
  SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, copenssl_note_refusal);
  return 1;
}

/* The reason of this thread's last error, an SSL_R_...; 0 when there is none. */
static inline int copenssl_last_reason(void) { return ERR_GET_REASON(ERR_peek_last_error()); }
static inline void copenssl_clear_errors(void) { ERR_clear_error(); }
