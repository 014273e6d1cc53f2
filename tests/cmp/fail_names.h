/* PKIFailureInfo by name (RFC 9810 5.2.3), for what tests print. */
#ifndef WAYBILL_TESTS_CMP_FAIL_NAMES_H
#define WAYBILL_TESTS_CMP_FAIL_NAMES_H

#include "common/pki/cmp.h"

static const struct {
	uint32_t bit;
	const char *name;
} fail_names[] = {
	{ CMP_BAD_ALG, "badAlg" },
	{ CMP_BAD_MESSAGE_CHECK, "badMessageCheck" },
	{ CMP_BAD_REQUEST, "badRequest" },
	{ CMP_BAD_TIME, "badTime" },
	{ CMP_BAD_CERT_ID, "badCertId" },
	{ CMP_BAD_DATA_FORMAT, "badDataFormat" },
	{ CMP_WRONG_AUTHORITY, "wrongAuthority" },
	{ CMP_BAD_POP, "badPOP" },
	{ CMP_CERT_REVOKED, "certRevoked" },
	{ CMP_WRONG_INTEGRITY, "wrongIntegrity" },
	{ CMP_BAD_RECIPIENT_NONCE, "badRecipientNonce" },
	{ CMP_BAD_SENDER_NONCE, "badSenderNonce" },
	{ CMP_BAD_CERT_TEMPLATE, "badCertTemplate" },
	{ CMP_SIGNER_NOT_TRUSTED, "signerNotTrusted" },
	{ CMP_TRANSACTION_ID_IN_USE, "transactionIdInUse" },
	{ CMP_UNSUPPORTED_VERSION, "unsupportedVersion" },
	{ CMP_NOT_AUTHORIZED, "notAuthorized" },
	{ CMP_SYSTEM_UNAVAIL, "systemUnavail" },
	{ CMP_SYSTEM_FAILURE, "systemFailure" },
};

#endif
