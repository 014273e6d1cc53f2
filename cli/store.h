/* `waybill queue|ra backup|restore|check|compact|rekey`: a store as a whole. */
#ifndef WAYBILL_CLI_STORE_H
#define WAYBILL_CLI_STORE_H

int queue_backup_command(int argc, char **argv);
int queue_restore_command(int argc, char **argv);
int queue_check_command(int argc, char **argv);
int queue_compact_command(int argc, char **argv);
int queue_rekey_command(int argc, char **argv);
int ra_restore_command(int argc, char **argv);
int ra_check_command(int argc, char **argv);
int ra_compact_command(int argc, char **argv);
int ra_rekey_command(int argc, char **argv);

#endif
