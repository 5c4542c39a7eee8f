#!/usr/bin/perl
# A client over Net::XMPP and Authen::SASL with GSSAPI (sendxmpp's modules): logs in with the ticket of KRB5CCNAME,
# fetches the roster, sends one message and waits for its echo.
#
#   net_xmpp_client.pl JID HOST PORT CA-FILE [TO TEXT]
#
# Says what happened as purple_client does; the same exit codes.
use strict;
use warnings;
use Authen::SASL qw(Perl);
use GSSAPI;
use IO::Socket::SSL;
use Net::XMPP;

use constant { FINE => 0, FAILED => 1, USAGE => 2, LATE => 4, PATIENCE => 30 };

$| = 1;
my ($jid, $host, $port, $authority, $to, $text) = @ARGV;
if (@ARGV != 4 && @ARGV != 6) {
    print STDERR "usage: net_xmpp_client.pl JID HOST PORT CA-FILE [TO TEXT]\n";
    exit USAGE;
}
my ($user, $domain) = split /@/, $jid, 2;
my $echoed = 0;

sub failed {
    print "failed @_\n";
    exit FAILED;
}

$SIG{ALRM} = sub { print "failed nothing more came in time\n"; exit LATE };
alarm PATIENCE;

my $client = Net::XMPP::Client->new($ENV{NET_XMPP_CLIENT_DEBUG} ? (debuglevel => 2, debugfile => "stdout") : ());
$client->SetCallBacks(
    message => sub {
        my ($session, $message) = @_;
        my ($from, $body) = ($message->GetFrom(), $message->GetBody());
        return unless length $body;
        print "received $from $body\n";
        $echoed = 1 if $body =~ /^echo: /;
    },
);

my $connected = $client->Connect(
    hostname => $host, port => $port, componentname => $domain, tls => 1, ssl_verify => 1, ssl_ca_path => $authority,
    timeout => PATIENCE);
failed("not connected: ", $client->GetErrorCode() // "") unless defined $connected;

my @result = eval { $client->AuthSend(username => $user, password => "", resource => "net-xmpp") };
failed("not authenticated: $@") if $@;
failed("not authenticated: @result") unless @result && $result[0] eq "ok";
print "bound $user\@$domain/net-xmpp\n";

my %roster = $client->RosterGet();
print "roster ", scalar(keys %roster), "\n";
$client->PresenceSend();
if (defined $to) {
    $client->MessageSend(to => $to, body => $text, type => "chat");
    print "sent $to $text\n";
    until ($echoed) {
        failed("disconnected") unless defined $client->Process(1);
    }
}
$client->Disconnect();
exit FINE;
