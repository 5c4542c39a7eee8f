/* placeholder */ extern int dw_nothing_net;
