/* SPDX-License-Identifier: Apache-2.0 */

/* What has to be known of a certificate before it is served: whether its time has come, and when that is over. */

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <string.h>

#include "server.h"

int http_certificate_times(const char *pem, uint64_t *ret_from, uint64_t *ret_until) {
        gnutls_datum_t text = { (unsigned char *)(uintptr_t)pem, (unsigned)strlen(pem) };
        gnutls_x509_crt_t *list = NULL;
        time_t from, until;
        unsigned n = 0;

        if (gnutls_x509_crt_list_import2(&list, &n, &text, GNUTLS_X509_FMT_PEM, 0) < 0)
                return -EINVAL;
        from = n > 0 ? gnutls_x509_crt_get_activation_time(list[0]) : -1;
        until = n > 0 ? gnutls_x509_crt_get_expiration_time(list[0]) : -1;
        for (unsigned i = 0; i < n; i++)
                gnutls_x509_crt_deinit(list[i]);
        gnutls_free(list);
        if (from < 0 || until < 0)
                return -EINVAL;
        *ret_from = (uint64_t)from;
        *ret_until = (uint64_t)until;
        return 0;
}
