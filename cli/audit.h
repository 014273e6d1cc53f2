/* `waybill audit verify|tail|export`: the audit trail of a program, asked of it
 * or read from its store while it does not run. */
#ifndef WAYBILL_CLI_AUDIT_H
#define WAYBILL_CLI_AUDIT_H

int audit_verify_command(int argc, char **argv);
int audit_tail_command(int argc, char **argv);
int audit_export_command(int argc, char **argv);

#endif
