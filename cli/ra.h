/* `waybill ra`: an off-site service, over its control socket. */
#ifndef WAYBILL_CLI_RA_H
#define WAYBILL_CLI_RA_H

int ra_list_command(int argc, char **argv);
int ra_show_command(int argc, char **argv);
int ra_sites_command(int argc, char **argv);
int ra_recover_command(int argc, char **argv);
int ra_resolve_command(int argc, char **argv);
int ra_revoke_command(int argc, char **argv);
int ra_backup_command(int argc, char **argv);

#endif
