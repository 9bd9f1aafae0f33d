// Ask.java URL CA VERSION COUNT AT_ONCE: asks with Java's own HttpClient, and prints what it was answered (see front-clients.py).
import java.io.FileInputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.Executors;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

public class Ask {
    static SSLContext trusting(String authority) throws Exception {
        KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
        store.load(null);
        try (FileInputStream file = new FileInputStream(authority)) {
            store.setCertificateEntry("own", CertificateFactory.getInstance("X.509").generateCertificate(file));
        }
        TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(store);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, trust.getTrustManagers(), null);
        return context;
    }

    static String answer(HttpClient client, String url, int number) throws Exception {
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(url + "/" + number)).timeout(Duration.ofSeconds(60));
        if (number % 2 == 1) {
            request.POST(BodyPublishers.ofString("x".repeat(number * 997)));
        }
        HttpResponse<String> answer = client.send(request.build(), BodyHandlers.ofString());
        String version = answer.version() == HttpClient.Version.HTTP_2 ? "2" : "1.1";
        return String.format("[%d, %d, \"%s\", \"%s\"]", number, answer.statusCode(), version, answer.body());
    }

    public static void main(String[] words) throws Exception {
        HttpClient client = HttpClient.newBuilder()
            .sslContext(trusting(words[1]))
            .version(words[2].equals("2") ? HttpClient.Version.HTTP_2 : HttpClient.Version.HTTP_1_1)
            .build();
        List<Callable<String>> all = new ArrayList<>();
        for (int one = 0; one < Integer.parseInt(words[3]); one++) {
            int number = one;
            all.add(() -> answer(client, words[0], number));
        }
        List<String> answers = new ArrayList<>();
        for (var done : Executors.newFixedThreadPool(Integer.parseInt(words[4])).invokeAll(all)) {
            answers.add(done.get());
        }
        System.out.println(answers);
        System.exit(0);
    }
}
