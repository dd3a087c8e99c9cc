#pragma once
#include <openssl/ssl.h>
#include <openssl/err.h>
#include <openssl/bio.h>
#include <openssl/x509v3.h>

// What Swift cannot import: OpenSSL's macros.

static inline long cell_ssl_ctx_mode(SSL_CTX *c, long mode) { return SSL_CTX_set_mode(c, mode); }
static inline long cell_ssl_ctx_no_session_cache(SSL_CTX *c) { return SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF); }
static inline long cell_ssl_ctx_least_tls12(SSL_CTX *c) { return SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION); }
static inline long cell_ssl_ctx_get_ticket_keys(SSL_CTX *c, void *keys, int n) { return SSL_CTX_get_tlsext_ticket_keys(c, keys, n); }
static inline long cell_ssl_ctx_set_ticket_keys(SSL_CTX *c, void *keys, int n) { return SSL_CTX_set_tlsext_ticket_keys(c, keys, n); }
static inline long cell_ssl_set_server_name(SSL *s, const char *name) { return SSL_set_tlsext_host_name(s, name); }
static inline uint64_t cell_ssl_ctx_options(SSL_CTX *c) {
    return SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_IGNORE_UNEXPECTED_EOF);
}
static inline void cell_bio_retry_read(BIO *b) { BIO_clear_retry_flags(b); BIO_set_retry_read(b); }
static inline void cell_bio_clear_retry(BIO *b) { BIO_clear_retry_flags(b); }
static inline int cell_bio_ctrl_flush(void) { return BIO_CTRL_FLUSH; }
